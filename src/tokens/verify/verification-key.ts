import { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import { importJWK } from 'jose/key/import';
import { isCanonicalBase64url } from './compact-jws.ts';
import { isRocaModulus } from './roca-modulus.ts';
import {
  algorithmTable,
  isSigningAlgorithm,
  type AlgorithmRow,
  type SigningAlgorithm,
} from '../signing-algorithm.ts';

/** A public key as the JWKS shows it: these members and no others (K01). */
export interface PublicJwk {
  readonly kty: 'EC' | 'RSA' | 'OKP';
  readonly crv?: 'P-256' | 'Ed25519';
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
  /** The RFC 7638 thumbprint of the key (K02). */
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly use: 'sig';
}

/** A public key that verifies with one algorithm. */
export interface VerificationKey {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly jwk: PublicJwk;
  readonly signatureBytes: number;
  readonly key: KeyObject;
}

/** A key that is refused at the door; the message says which rule it breaks and never shows the key. */
export class KeyRefused extends Error {
  constructor(rule: string, options?: ErrorOptions) {
    super(`the key is refused: ${rule}`, options);
    this.name = 'KeyRefused';
  }
}

/** RSA below this is refused; above it, one signature would cost an attacker's choice of time. */
const RSA_BITS = { min: 2048, max: 4096 };

/**
 * Imports a public key of a JWKS or of the trust stream. Refused are private members, members that are not in the
 * table, a kid that is not the thumbprint, a curve or an algorithm of another kind, sloppy base64url, a point off P-256
 * (off Ed25519 only where Node looks, from 24 on), RSA under 2048 bits, of a faulty generator or with an exponent other
 * than 65537. Throws `KeyRefused`.
 */
export async function importVerificationKey(jwk: unknown): Promise<VerificationKey> {
  const publicJwk = readPublicJwk(jwk);
  if ((await thumbprintOf(publicJwk)) !== publicJwk.kid)
    throw new KeyRefused('kid is not its RFC 7638 thumbprint');
  const { kid, alg } = publicJwk;
  let key: KeyObject;
  try {
    key = KeyObject.from(await importJWK({ ...publicJwk }, alg));
  } catch (cause) {
    throw new KeyRefused('its values are not a public key of the algorithm', { cause });
  }
  const signatureBytes = algorithmTable[alg].signatureBytes ?? byteLength(publicJwk.n);
  return { kid, algorithm: alg, jwk: publicJwk, signatureBytes, key };
}

/** What a thumbprint is made of; other members have no part in it. */
export type ThumbprintMembers = Omit<PublicJwk, 'kid' | 'alg' | 'use'>;

/** The RFC 7638 thumbprint, SHA-256, base64url. */
export function thumbprintOf(jwk: ThumbprintMembers): Promise<string> {
  return calculateJwkThumbprint({ ...jwk }, 'sha256');
}

function readPublicJwk(jwk: unknown): PublicJwk {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk))
    throw new KeyRefused('it is not a JSON object');
  const given = jwk as Record<string, unknown>;
  const { alg, kid } = given;
  if (!isSigningAlgorithm(alg)) throw new KeyRefused('alg must be ES256, RS256 or EdDSA');
  const row = algorithmTable[alg];
  if (given.kty !== row.kty || given.crv !== row.crv) throw new KeyRefused('kty or crv does not match alg');
  if (given.use !== 'sig') throw new KeyRefused('use must be sig');
  if (typeof kid !== 'string') throw new KeyRefused('kid must be a string');
  const known = ['kty', 'crv', 'kid', 'alg', 'use', ...row.members];
  // d, p, q and k are among the unknown: a private key that was published by mistake must not be passed on.
  if (Object.keys(given).some((member) => !known.includes(member))) {
    throw new KeyRefused(`it has members other than ${known.join(', ')}`);
  }
  const numbers = Object.fromEntries(
    row.members.map((member) => [member, readNumber(given[member], member, row)]),
  );
  return Object.freeze({ kty: row.kty, ...(row.crv && { crv: row.crv }), ...numbers, kid, alg, use: 'sig' });
}

function readNumber(value: unknown, member: 'x' | 'y' | 'n' | 'e', row: AlgorithmRow): string {
  if (typeof value !== 'string' || value === '' || !isCanonicalBase64url(value)) {
    throw new KeyRefused(`${member} must be base64url`);
  }
  if (row.kty !== 'RSA') {
    if (byteLength(value) !== 32) throw new KeyRefused(`${member} must be 32 bytes`);
  } else if (member === 'e') {
    if (value !== 'AQAB') throw new KeyRefused('e must be 65537');
  } else {
    const modulus = Buffer.from(value, 'base64url');
    const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
    const isOdd = ((modulus.at(-1) ?? 0) & 1) === 1;
    if (modulus[0] === 0 || !isOdd || bits < RSA_BITS.min || bits > RSA_BITS.max) {
      throw new KeyRefused(`n must have ${RSA_BITS.min} to ${RSA_BITS.max} bits and be odd`);
    }
    if (isRocaModulus(modulus))
      throw new KeyRefused('n was made by a key generator whose keys can be factored (CVE-2017-15361)');
  }
  return value;
}

function byteLength(base64url: string | undefined): number {
  return Buffer.byteLength(base64url ?? '', 'base64url');
}
