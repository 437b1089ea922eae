import { constants, createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';

import { type CborMap, decodeCbor } from './cbor.ts';

/** The algorithms that are asked for (COSE, RFC 9053 and RFC 8812), the preferred one first. */
export const coseAlgorithms = { ES256: -7, EdDSA: -8, RS256: -257 } as const;

/** A public key of a credential. */
export interface CredentialKey {
  /** One of `coseAlgorithms`. */
  readonly algorithm: number;
  readonly key: KeyObject;
}

/** Labels of a COSE key (RFC 9052 section 7.1, RFC 9053 section 7, RFC 8230 section 4). */
const KTY = 1;
const ALG = 3;
const CRV_OR_N = -1;
const X_OR_E = -2;
const Y = -3;

const MIN_MODULUS_BYTES = 256;
const MAX_MODULUS_BYTES = 512;

/**
 * Reads a credential's public key. Null unless the bytes are one key of an algorithm that is asked for, with the members of
 * that algorithm and no others (WebAuthn Level 3, section 6.5.1), its point on the curve. RSA keys have 2048 to 4096 bits,
 * since a longer modulus makes each login slow, and the exponent 65537.
 */
export function readCoseKey(bytes: Uint8Array): CredentialKey | null {
  const decoded = decodeCbor(bytes);
  if (decoded?.end !== bytes.length || !(decoded.value instanceof Map)) return null;
  const members: CborMap = decoded.value;
  const algorithm = members.get(ALG);
  const jwk = typeof algorithm === 'number' ? readers.get(algorithm)?.(members) : null;
  const key = jwk ? importKey(jwk) : null;
  return key && { algorithm: Number(algorithm), key };
}

/** Whether a signature of the credential's key over `data` is right. */
export function verifyCredentialSignature(
  { algorithm, key }: CredentialKey,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const hash = algorithm === coseAlgorithms.EdDSA ? null : 'sha256';
  const form =
    algorithm === coseAlgorithms.RS256
      ? ({ key, padding: constants.RSA_PKCS1_PADDING } as const)
      : ({ key, dsaEncoding: 'der' } as const);
  try {
    return verify(hash, data, form, signature);
  } catch {
    return false;
  }
}

/** The COSE key of a point of P-256, for ES256: a map of five members. */
export function coseKeyOfPoint(x: Uint8Array, y: Uint8Array): Buffer {
  const head = Buffer.from('a5010203262001215820', 'hex');
  return Buffer.concat([head, x, Buffer.from('225820', 'hex'), y]);
}

const readers: ReadonlyMap<number, (members: CborMap) => JsonWebKey | null> = new Map([
  [coseAlgorithms.ES256, readEs256],
  [coseAlgorithms.EdDSA, readEd25519],
  [coseAlgorithms.RS256, readRs256],
]);

function readEs256(members: CborMap): JsonWebKey | null {
  const [x, y] = [members.get(X_OR_E), members.get(Y)];
  const isEs256 = members.size === 5 && members.get(KTY) === 2 && members.get(CRV_OR_N) === 1;
  if (!isEs256 || !isBytes(x, 32) || !isBytes(y, 32)) return null;
  return { kty: 'EC', crv: 'P-256', x: base64url(x), y: base64url(y) };
}

function readEd25519(members: CborMap): JsonWebKey | null {
  const x = members.get(X_OR_E);
  const isEd25519 = members.size === 4 && members.get(KTY) === 1 && members.get(CRV_OR_N) === 6;
  return isEd25519 && isBytes(x, 32) ? { kty: 'OKP', crv: 'Ed25519', x: base64url(x) } : null;
}

function readRs256(members: CborMap): JsonWebKey | null {
  const [n, e] = [members.get(CRV_OR_N), members.get(X_OR_E)];
  const isRsa = members.size === 4 && members.get(KTY) === 3 && isModulus(n) && isBytes(e, 3);
  if (!isRsa || !Buffer.of(1, 0, 1).equals(e)) return null;
  return { kty: 'RSA', n: base64url(n), e: base64url(e) };
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length;
}

function isModulus(value: unknown): value is Uint8Array {
  if (!(value instanceof Uint8Array)) return false;
  const [first = 0] = value;
  const isOdd = ((value.at(-1) ?? 0) & 1) === 1;
  const hasBits = value.length === MIN_MODULUS_BYTES ? first >= 0x80 : first > 0;
  return isOdd && hasBits && value.length >= MIN_MODULUS_BYTES && value.length <= MAX_MODULUS_BYTES;
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

/** `createPublicKey` throws for a point that is not on the curve. */
function importKey(jwk: JsonWebKey): KeyObject | null {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return null;
  }
}
