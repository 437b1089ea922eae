import { createHmac, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import type { SigningAlgorithm } from '../signing-algorithm.ts';

/** A key and the one algorithm it verifies with; the header has no say (T03). */
export interface SignatureKey {
  readonly algorithm: SigningAlgorithm | 'HS256';
  /** Public, or the secret of HS256. */
  readonly key: KeyObject;
}

/**
 * Whether the compact JWS is signed by the key (RFC 7515 section 5.2, steps 7 and 8). OpenSSL refuses r or s of zero or beyond
 * the order of the group, and for Ed25519 S beyond it (T20); for HS256 the comparison takes constant time. Off the main
 * thread but for HS256. Errors that are not about the token throw.
 */
export async function signatureMatches(token: string, { algorithm, key }: SignatureKey): Promise<boolean> {
  const lastDot = token.lastIndexOf('.');
  const signed = Buffer.from(token.slice(0, lastDot), 'latin1');
  const signature = Buffer.from(token.slice(lastDot + 1), 'base64url');
  if (algorithm === 'HS256') {
    const expected = createHmac('sha256', key).update(signed).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  // RFC 7518 section 3.4: r and s as they are, side by side. RSA and Ed25519 have nothing to choose.
  const input = { key, dsaEncoding: 'ieee-p1363' } as const;
  const digest = algorithm === 'EdDSA' ? null : 'sha256';
  return new Promise((resolve, reject) => {
    verify(digest, signed, input, signature, (error, matches) => {
      if (error) reject(error);
      else resolve(matches);
    });
  });
}
