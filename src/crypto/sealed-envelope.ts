import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';

const VERSION = 1;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES;

/** A master key: 32 bytes that never leave the process, and the public id that envelopes contain. */
export interface MasterKey {
  readonly bytes: Uint8Array;
  /** The first 8 bytes of a hash of the key, as hex. Identifies the key without revealing anything about it. */
  readonly id: string;
}

/** Why an envelope did not open. */
export class EnvelopeError extends Error {
  readonly reason: 'other-master-key' | 'damaged';

  constructor(reason: 'other-master-key' | 'damaged', message: string) {
    super(message);
    this.name = 'EnvelopeError';
    this.reason = reason;
  }
}

/** @param bytes 32 bytes */
export function masterKeyOf(bytes: Uint8Array): MasterKey {
  if (bytes.length !== 32) throw new RangeError('a master key has 32 bytes');
  const id = createHash('sha256').update('postern master key id\0').update(bytes).digest('hex');
  return { bytes, id: id.slice(0, KEY_ID_BYTES * 2) };
}

/**
 * Seals a secret for the database with AES-256-GCM: `version(1) key id(8) nonce(12) ciphertext tag(16)`.
 * `identity` describes the secret (for a signing key: purpose, kid and algorithm). It is authenticated as associated
 * data, so an envelope moved to another row does not open.
 *
 * @param nonce 12 random bytes, never used twice with the same key
 */
export function seal(
  plaintext: Uint8Array,
  identity: string,
  masterKey: MasterKey,
  nonce: Uint8Array,
): Buffer {
  const header = Buffer.concat([Buffer.of(VERSION), Buffer.from(masterKey.id, 'hex'), nonce]);
  const cipher = createCipheriv('aes-256-gcm', masterKey.bytes, nonce);
  cipher.setAAD(associatedData(header, identity));
  return Buffer.concat([header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** The master key id that an envelope contains, as hex. */
export function sealedBy(envelope: Uint8Array): string {
  return Buffer.from(envelope.subarray(1, 1 + KEY_ID_BYTES)).toString('hex');
}

/**
 * Finds the master key whose id an envelope contains. The id is not authenticated; only `unseal` proves it.
 *
 * @throws EnvelopeError `other-master-key`, `damaged`
 */
export function namedMasterKey(
  envelope: Uint8Array,
  identity: string,
  masterKeys: readonly MasterKey[],
): MasterKey {
  if (envelope.length < HEADER_BYTES + TAG_BYTES || envelope[0] !== VERSION) {
    throw new EnvelopeError('damaged', `the envelope of ${identity} is not in a known format`);
  }
  const keyId = sealedBy(envelope);
  const masterKey = masterKeys.find((candidate) => candidate.id === keyId);
  if (masterKey) return masterKey;
  throw new EnvelopeError(
    'other-master-key',
    `${identity} was encrypted with another master key (id ${keyId})`,
  );
}

/**
 * Decrypts an envelope with the one of the given master keys that sealed it.
 *
 * @throws EnvelopeError `other-master-key` when none of them sealed it, `damaged` when the bytes or the identity differ
 */
export function unseal(envelope: Uint8Array, identity: string, masterKeys: readonly MasterKey[]): Buffer {
  const masterKey = namedMasterKey(envelope, identity, masterKeys);
  const header = envelope.subarray(0, HEADER_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', masterKey.bytes, header.subarray(1 + KEY_ID_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(associatedData(header, identity));
  decipher.setAuthTag(envelope.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(envelope.subarray(HEADER_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw new EnvelopeError('damaged', `the envelope of ${identity} was altered or moved from another row`);
  }
}

function associatedData(header: Uint8Array, identity: string): Buffer {
  return Buffer.concat([header, Buffer.from(identity, 'utf8')]);
}
