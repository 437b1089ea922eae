import { createHash } from 'node:crypto';

import { parseStrictJson } from '../../../tokens/verify/strict-json.ts';
import { type FieldRule, text } from '../../../domain/validation.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { sameDigest, type SecretDigests } from '../../../crypto/keyed-digests.ts';
import {
  importClientKey,
  importVerificationKey,
  KeyRefused,
  type PublicJwk,
  type VerificationKey,
} from '../../../tokens/verify/verification-key.ts';

/** A public key of a service account, as stored. */
export interface StoredServiceKey {
  readonly accountId: string;
  readonly kid: string;
  readonly publicJwk: unknown;
  readonly mac: Uint8Array;
  readonly createdAt: Date;
}

/** A public key of a service account that Postern has added. */
export interface ServiceKey {
  readonly kid: string;
  readonly algorithm: PublicJwk['alg'];
  readonly createdAt: Date;
}

/** An RFC 7638 thumbprint: SHA-256 in base64url. */
export const KEY_ID = /^[\w-]{43}$/;

/** The id of a key. */
export const keyId: FieldRule<string> = text({
  minBytes: 1,
  maxBytes: 43,
  form: { pattern: KEY_ID, description: 'the 43 characters of an RFC 7638 thumbprint' },
});

export const publicJwkText: FieldRule<string> = text({ minBytes: 2, maxBytes: 4_096 });

/**
 * Reads a public key that an administrator adds.
 *
 * @throws Rejected `field-invalid` for everything but a public key that Postern can verify with
 */
export async function parsePublicJwk(json: string): Promise<VerificationKey> {
  try {
    return await importClientKey(parseStrictJson(json));
  } catch (error) {
    if (!(error instanceof KeyRefused)) throw error;
    throw new Rejected({
      kind: 'field-invalid',
      violations: [{ field: 'public_jwk', description: error.message }],
    });
  }
}

/**
 * Checks a stored key before it verifies anything. An attacker who can write to the database but has no master key must not
 * be able to give an account a key of his own, or move one to another account (D20). The MAC covers the account and the kid,
 * and the kid is the thumbprint of the key.
 *
 * @returns null when Postern did not add the key, or the row was altered
 */
export async function checkServiceKey(
  digests: Pick<SecretDigests, 'ofServiceKey'>,
  { accountId, kid, publicJwk, mac }: StoredServiceKey,
): Promise<VerificationKey | null> {
  if (!sameDigest(mac, digests.ofServiceKey(accountId, kid))) return null;
  try {
    const key = await importVerificationKey(publicJwk);
    return key.kid === kid ? key : null;
  } catch (error) {
    if (error instanceof KeyRefused) return null;
    throw error;
  }
}

/** What identifies an assertion, so that it is accepted once: its `jti` and the account that chose it. */
export function assertionDigest(accountId: string, tokenId: string): Buffer {
  return createHash('sha256').update(`${accountId} ${tokenId}`).digest();
}
