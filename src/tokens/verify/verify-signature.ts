import { createHmac, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import type { SigningAlgorithm } from '../signing-algorithm.ts';

/** A key and the only algorithm that it verifies with; the token header does not choose it (T03). */
export interface SignatureKey {
  readonly algorithm: SigningAlgorithm | 'HS256';
  /** A public key, or the secret key of HS256. */
  readonly key: KeyObject;
}

/**
 * Whether the signature of a compact JWS is valid for the key (RFC 7515 section 5.2, steps 7 and 8). OpenSSL refuses an
 * ECDSA r or s of zero, and r, s or the S of Ed25519 beyond the order of the group (T20). HS256 compares in constant
 * time, on the main thread; the others verify off it. Rejects only on errors that are not the fault of the token.
 */
export async function signatureMatches(token: string, { algorithm, key }: SignatureKey): Promise<boolean> {
  const lastDot = token.lastIndexOf('.');
  const signed = Buffer.from(token.slice(0, lastDot), 'latin1');
  const signature = Buffer.from(token.slice(lastDot + 1), 'base64url');
  if (algorithm === 'HS256') {
    const expected = createHmac('sha256', key).update(signed).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  const digest = algorithm === 'EdDSA' ? null : 'sha256';
  return publicKeyMatches({ signed, signature, digest, key });
}

/**
 * Whether a signature is valid for a public key. Verifies off the main thread.
 *
 * @param check.digest null for Ed25519
 * @param check.options how RSA is padded; PKCS #1 v1.5 by default
 */
export function publicKeyMatches(check: {
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly digest: 'sha256' | 'sha384' | null;
  readonly key: KeyObject;
  readonly options?: { readonly padding: number; readonly saltLength: number };
}): Promise<boolean> {
  const { signed, signature, digest, key, options } = check;
  // RFC 7518 section 3.4: an ECDSA signature is r and s concatenated. RSA and Ed25519 ignore the option.
  const input = { key, dsaEncoding: 'ieee-p1363', ...options } as const;
  return new Promise((resolve, reject) => {
    verify(digest, signed, input, signature, (error, matches) => {
      if (error) reject(error);
      else resolve(matches);
    });
  });
}
