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

/** A public key of the JWKS. It has no other members (K01). */
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

/** Thrown for a key that breaks a rule. The message names the rule and never contains the key. */
export class KeyRefused extends Error {
  constructor(rule: string, options?: ErrorOptions) {
    super(`the key is refused: ${rule}`, options);
    this.name = 'KeyRefused';
  }
}

/** The maximum bounds the time of a verification, which an attacker could otherwise choose. */
const RSA_BITS = { min: 2048, max: 4096 };

/**
 * Imports a public key from a JWKS or the trust stream. Throws `KeyRefused` for:
 *
 * - private members, and members that are not in `algorithmTable`
 * - a kid that is not the RFC 7638 thumbprint
 * - a kty or crv that does not match alg
 * - base64url that is not canonical
 * - a point that is not on P-256 (on Ed25519 only from Node 24 on, which checks it)
 * - an RSA modulus of fewer than 2048 or more than 4096 bits, or of a faulty generator (ROCA)
 * - an RSA exponent other than 65537
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

/**
 * Imports the public key of a client. Unlike `importVerificationKey`, which reads what Postern has written, it adds `alg`,
 * `use` and `kid` where they are absent, so that the output of ordinary tools is accepted.
 *
 * @throws KeyRefused also for a private key, whose owner should make another one
 */
export async function importClientKey(jwk: unknown): Promise<VerificationKey> {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk))
    throw new KeyRefused('it is not a JSON object; send a JSON Web Key (RFC 7517)');
  // WebCrypto exports key_ops and ext, which say nothing about the key.
  const given = Object.entries(jwk).filter(([member]) => member !== 'key_ops' && member !== 'ext');
  const members: Record<string, unknown> = Object.fromEntries(given);
  if ('keys' in members) throw new KeyRefused('it is a key set; send one of its keys');
  if ('k' in members) throw new KeyRefused('it is a shared secret; send a public key');
  if ('d' in members)
    throw new KeyRefused(
      'it contains a private key, which is no longer secret; make a new key, and send its public half',
    );
  const { alg = algorithmOf(members) } = members;
  if (!isSigningAlgorithm(alg)) throw new KeyRefused('alg must be ES256, RS256 or EdDSA');
  const complete = { use: 'sig', ...members, alg };
  const kid = await thumbprintOf(readPublicJwk({ ...complete, kid: '' }));
  if (members.kid !== undefined && members.kid !== kid)
    throw new KeyRefused(`kid must be absent or the RFC 7638 thumbprint of the key, ${kid}`);
  return importVerificationKey({ ...complete, kid });
}

function algorithmOf({ kty, crv }: Readonly<Record<string, unknown>>): SigningAlgorithm | undefined {
  return (Object.keys(algorithmTable) as SigningAlgorithm[]).find(
    (name) => algorithmTable[name].kty === kty && algorithmTable[name].crv === crv,
  );
}

/** The members that a thumbprint covers. */
export type ThumbprintMembers = Omit<PublicJwk, 'kid' | 'alg' | 'use'>;

/** Computes the RFC 7638 thumbprint: SHA-256, as base64url. */
export function thumbprintOf(jwk: ThumbprintMembers): Promise<string> {
  return calculateJwkThumbprint({ ...jwk }, 'sha256');
}

function readPublicJwk(jwk: unknown): PublicJwk {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk))
    throw new KeyRefused('it is not a JSON object');
  const members = jwk as Record<string, unknown>;
  const { alg, kid } = members;
  if (!isSigningAlgorithm(alg)) throw new KeyRefused('alg must be ES256, RS256 or EdDSA');
  const row = algorithmTable[alg];
  if (members.kty !== row.kty || members.crv !== row.crv)
    throw new KeyRefused('kty or crv does not match alg');
  if (members.use !== 'sig') throw new KeyRefused('use must be sig');
  if (typeof kid !== 'string') throw new KeyRefused('kid must be a string');
  const known = ['kty', 'crv', 'kid', 'alg', 'use', ...row.members];
  // This also refuses d, p, q and k: a private key that was published by mistake must not be passed on.
  if (Object.keys(members).some((member) => !known.includes(member))) {
    throw new KeyRefused(`it has members other than ${known.join(', ')}`);
  }
  const publicMembers = Object.fromEntries(
    row.members.map((member) => [member, readPublicMember(members[member], member, row)]),
  );
  return Object.freeze({
    kty: row.kty,
    ...(row.crv && { crv: row.crv }),
    ...publicMembers,
    kid,
    alg,
    use: 'sig',
  });
}

function readPublicMember(value: unknown, member: 'x' | 'y' | 'n' | 'e', row: AlgorithmRow): string {
  if (typeof value !== 'string' || value === '' || !isCanonicalBase64url(value)) {
    throw new KeyRefused(`${member} must be base64url`);
  }
  if (row.kty !== 'RSA') {
    if (byteLength(value) !== 32) throw new KeyRefused(`${member} must be 32 bytes`);
  } else if (member === 'e') {
    if (value !== 'AQAB') throw new KeyRefused('e must be 65537');
  } else {
    requireSoundModulus(Buffer.from(value, 'base64url'));
  }
  return value;
}

/** @throws KeyRefused for an RSA modulus of another size, or of a faulty generator */
export function requireSoundModulus(modulus: Buffer): void {
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
  const isOdd = ((modulus.at(-1) ?? 0) & 1) === 1;
  if (modulus[0] === 0 || !isOdd || bits < RSA_BITS.min || bits > RSA_BITS.max) {
    throw new KeyRefused(`n must have ${RSA_BITS.min} to ${RSA_BITS.max} bits and be odd`);
  }
  if (isRocaModulus(modulus))
    throw new KeyRefused('n was made by a key generator whose keys can be factored (CVE-2017-15361)');
}

function byteLength(base64url: string | undefined): number {
  return Buffer.byteLength(base64url ?? '', 'base64url');
}
