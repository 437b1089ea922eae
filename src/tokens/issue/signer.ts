import { createHmac, type KeyObject, sign } from 'node:crypto';
import type { SigningAlgorithm } from '../signing-algorithm.ts';

/** Signs claims with one key. The header depends on the key only, and has no members but alg, kid and typ (T26). */
export interface Signer {
  readonly algorithm: SigningAlgorithm | 'HS256';
  /** Null for the shared secret of HS256: a kid derived from it would let an attacker test guesses of the secret. */
  readonly kid: string | null;
  /** Returns a compact JWS of the claims. */
  sign(claims: object): Promise<string>;
}

/**
 * Creates a signer from a private key, or from the HMAC key of the shared secret when `kid` is null. A KeyObject takes half
 * the CPU time of a CryptoKey through jose.
 */
export function createSigner(options: {
  readonly algorithm: SigningAlgorithm | 'HS256';
  readonly kid: string | null;
  readonly key: KeyObject;
}): Signer {
  const { algorithm, kid, key } = options;
  const header = kid === null ? { alg: algorithm, typ: 'JWT' } : { alg: algorithm, kid, typ: 'at+jwt' };
  const encodedHeader = base64urlOfJson(header);
  return {
    algorithm,
    kid,
    async sign(claims) {
      const signed = `${encodedHeader}.${base64urlOfJson(claims)}`;
      const signature = await signatureOf(Buffer.from(signed, 'latin1'), algorithm, key);
      return `${signed}.${signature.toString('base64url')}`;
    },
  };
}

/** HS256 on the main thread; the others off it, since RS256 takes more than a millisecond. */
function signatureOf(signed: Buffer, algorithm: Signer['algorithm'], key: KeyObject): Promise<Buffer> {
  if (algorithm === 'HS256') return Promise.resolve(createHmac('sha256', key).update(signed).digest());
  // RFC 7518 section 3.4: an ECDSA signature is r and s concatenated. RSA and Ed25519 ignore the option.
  const input = { key, dsaEncoding: 'ieee-p1363' } as const;
  const digest = algorithm === 'EdDSA' ? null : 'sha256';
  return new Promise((resolve, reject) => {
    sign(digest, signed, input, (error, signature) => {
      if (error) reject(error);
      else resolve(signature);
    });
  });
}

function base64urlOfJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
