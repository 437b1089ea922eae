import type { webcrypto } from 'node:crypto';
import { JOSEError } from 'jose/errors';
import { compactVerify } from 'jose/jws/compact/verify';
import type { SigningAlgorithm } from './signing-algorithm.ts';

/** A key and the one algorithm it verifies with; the header has no say (T03). */
export interface SignatureKey {
  readonly algorithm: SigningAlgorithm | 'HS256';
  readonly key: webcrypto.CryptoKey;
}

/**
 * Whether the compact JWS is signed by the key. Node's OpenSSL refuses r or s of zero or beyond the order of the group,
 * and for Ed25519 S beyond it (T20); for HS256 it compares in constant time. Errors that are not about the token throw.
 */
export async function signatureMatches(token: string, { algorithm, key }: SignatureKey): Promise<boolean> {
  try {
    await compactVerify(token, key, { algorithms: [algorithm] });
    return true;
  } catch (error) {
    if (error instanceof JOSEError) return false;
    throw error;
  }
}
