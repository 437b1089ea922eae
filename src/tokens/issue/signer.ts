import type { KeyObject, webcrypto } from 'node:crypto';
import { CompactSign } from 'jose/jws/compact/sign';
import type { SigningAlgorithm } from '../signing-algorithm.ts';

/** Signs claims with one key. The header is the key's and never grows: alg, kid and typ (T26). */
export interface Signer {
  readonly algorithm: SigningAlgorithm | 'HS256';
  /** Null for the shared secret of HS256: a kid made from it would be a gift to whoever guesses secrets. */
  readonly kid: string | null;
  /** A compact JWS of the claims. */
  sign(claims: object): Promise<string>;
}

/** Wraps a private key, or the HMAC key of the shared secret when `kid` is null. */
export function createSigner(options: {
  readonly algorithm: SigningAlgorithm | 'HS256';
  readonly kid: string | null;
  readonly key: webcrypto.CryptoKey | KeyObject;
}): Signer {
  const { algorithm, kid, key } = options;
  const header = kid === null ? { alg: algorithm, typ: 'JWT' } : { alg: algorithm, kid, typ: 'at+jwt' };
  return {
    algorithm,
    kid,
    sign: (claims) =>
      new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader(header).sign(key),
  };
}
