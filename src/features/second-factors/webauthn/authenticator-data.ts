import { createHash } from 'node:crypto';

import { decodeCbor } from './cbor.ts';
import type { WebauthnFault } from './webauthn-fault.ts';

/** Authenticator data (WebAuthn Level 3, section 6.1). */
export interface AuthenticatorData {
  readonly rpIdHash: Uint8Array;
  readonly userPresent: boolean;
  readonly userVerified: boolean;
  /** Whether the credential can be synced to other devices. */
  readonly backupEligible: boolean;
  /** Whether it is. */
  readonly backedUp: boolean;
  readonly signCount: number;
  /** Only in a registration. */
  readonly attested: AttestedCredential | null;
}

export interface AttestedCredential {
  readonly aaguid: Uint8Array;
  readonly credentialId: Uint8Array;
  /** CBOR, as it is stored. */
  readonly coseKey: Uint8Array;
}

const FIXED_BYTES = 37;
const AAGUID_BYTES = 16;
const MIN_CREDENTIAL_ID_BYTES = 16;
const MAX_CREDENTIAL_ID_BYTES = 1_023;

const flagBits = { UP: 0x01, UV: 0x04, BE: 0x08, BS: 0x10, AT: 0x40, ED: 0x80 } as const;

/** Reads authenticator data. Null unless every byte has a meaning and the lengths are allowed. */
export function readAuthenticatorData(input: Uint8Array): AuthenticatorData | null {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  if (bytes.length < FIXED_BYTES) return null;
  const flags = bytes.readUInt8(32);
  const has = (bit: number) => (flags & bit) !== 0;
  let end = FIXED_BYTES;
  let attested: AttestedCredential | null = null;
  if (has(flagBits.AT)) {
    const read = readAttestedCredential(bytes, end);
    if (!read) return null;
    attested = read.attested;
    end = read.end;
  }
  if (has(flagBits.ED)) {
    // No extension is asked for, and what an authenticator adds is not used.
    const extensions = decodeCbor(bytes, end);
    if (!(extensions?.value instanceof Map)) return null;
    end = extensions.end;
  }
  if (end !== bytes.length) return null;
  return {
    rpIdHash: bytes.subarray(0, 32),
    userPresent: has(flagBits.UP),
    userVerified: has(flagBits.UV),
    backupEligible: has(flagBits.BE),
    backedUp: has(flagBits.BS),
    signCount: bytes.readUInt32BE(33),
    attested,
  };
}

/**
 * What is wrong with authenticator data, whatever the credential: it was made for another site, or without verifying the user
 * (WebAuthn Level 3, sections 7.1 and 7.2).
 */
export function authenticatorDataFault(data: AuthenticatorData, rpId: string): WebauthnFault | null {
  const rpIdHash = createHash('sha256').update(rpId).digest();
  if (!rpIdHash.equals(data.rpIdHash)) return 'rp-id';
  if (!data.userPresent) return 'user-not-present';
  if (!data.userVerified) return 'user-not-verified';
  if (data.backedUp && !data.backupEligible) return 'backup-flags';
  return null;
}

function readAttestedCredential(
  bytes: Buffer,
  start: number,
): { readonly attested: AttestedCredential; readonly end: number } | null {
  const idStart = start + AAGUID_BYTES + 2;
  if (bytes.length < idStart) return null;
  const idBytes = bytes.readUInt16BE(idStart - 2);
  const keyStart = idStart + idBytes;
  if (idBytes < MIN_CREDENTIAL_ID_BYTES || idBytes > MAX_CREDENTIAL_ID_BYTES || keyStart > bytes.length)
    return null;
  const key = decodeCbor(bytes, keyStart);
  if (!key) return null;
  const attested = {
    aaguid: bytes.subarray(start, start + AAGUID_BYTES),
    credentialId: bytes.subarray(idStart, keyStart),
    coseKey: bytes.subarray(keyStart, key.end),
  };
  return { attested, end: key.end };
}
