import type { KeyObject, webcrypto } from 'node:crypto';
import { CompactSign } from 'jose/jws/compact/sign';
import type { SigningAlgorithm } from '../signing-algorithm.ts';

/** Signs claims with one key. The header depends on the key only, and has no members but alg, kid and typ (T26). */
export interface Signer {
  readonly algorithm: SigningAlgorithm | 'HS256';
  /** Null for the shared secret of HS256: a kid derived from it would let an attacker test guesses of the secret. */
  readonly kid: string | null;
  /** Returns a compact JWS of the claims. */
  sign(claims: object): Promise<string>;
}

/** Creates a signer from a private key, or from the HMAC key of the shared secret when `kid` is null. */
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
