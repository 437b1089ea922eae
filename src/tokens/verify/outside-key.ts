import { constants, createPublicKey, type KeyObject } from 'node:crypto';

import { isCanonicalBase64url } from './compact-jws.ts';
import { parseStrictJson } from './strict-json.ts';
import { KeyRefused, requireSoundModulus } from './verification-key.ts';

/** How an algorithm of other issuers is verified (RFC 7518 section 3.1, RFC 8037). */
interface OutsideAlgorithmRow {
  readonly kty: 'EC' | 'RSA' | 'OKP';
  readonly crv?: 'P-256' | 'P-384' | 'Ed25519';
  readonly digest: 'sha256' | 'sha384' | null;
  /** The length of a coordinate of the public key; null for RSA. */
  readonly coordinateBytes: number | null;
  /** The length of a signature; null when it is the length of the modulus. */
  readonly signatureBytes: number | null;
  readonly options?: { readonly padding: number; readonly saltLength: number };
}

const { RSA_PKCS1_PSS_PADDING } = constants;

export const outsideAlgorithms = {
  RS256: { kty: 'RSA', digest: 'sha256', coordinateBytes: null, signatureBytes: null },
  PS256: {
    kty: 'RSA',
    digest: 'sha256',
    coordinateBytes: null,
    signatureBytes: null,
    options: { padding: RSA_PKCS1_PSS_PADDING, saltLength: 32 },
  },
  ES256: { kty: 'EC', crv: 'P-256', digest: 'sha256', coordinateBytes: 32, signatureBytes: 64 },
  ES384: { kty: 'EC', crv: 'P-384', digest: 'sha384', coordinateBytes: 48, signatureBytes: 96 },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', digest: null, coordinateBytes: 32, signatureBytes: 64 },
} as const satisfies Record<string, OutsideAlgorithmRow>;

export type OutsideAlgorithm = keyof typeof outsideAlgorithms;

export function isOutsideAlgorithm(name: string): name is OutsideAlgorithm {
  return Object.hasOwn(outsideAlgorithms, name);
}

export function rowOf(algorithm: OutsideAlgorithm): OutsideAlgorithmRow {
  return outsideAlgorithms[algorithm];
}

/** A public key of another issuer. */
export interface OutsideKey {
  readonly kid: string | null;
  /** What it verifies. An RSA key without `alg` in its set verifies two. */
  readonly algorithms: readonly OutsideAlgorithm[];
  readonly key: KeyObject;
  /** The length of the modulus, for RSA. */
  readonly modulusBytes: number;
}

/** An attacker who may publish a set would otherwise choose how much work reading it is. */
const MAX_KEYS = 100;
/** `jwt-svid` is SPIFFE's; `x509-svid` keys and those for encryption are left out. */
const SIGNATURE_USES: readonly unknown[] = [undefined, 'sig', 'jwt-svid'];

/**
 * Reads the key set of another issuer. Keys that are unusable are left out, as RFC 7517 section 5 wants: other issuers publish
 * keys for other purposes beside. Certificates (`x5c`, `x5t`) are ignored: the set itself is what is trusted.
 *
 * @throws KeyRefused when the text is not a key set, has more than 100 keys, or no key can be used
 */
export function readOutsideKeySet(json: string): readonly OutsideKey[] {
  const members = parseStrictJson(json)?.['keys'];
  if (!Array.isArray(members)) throw new KeyRefused('the key set is not a JSON object with a list in keys');
  if (members.length > MAX_KEYS) throw new KeyRefused(`the key set has more than ${MAX_KEYS} keys`);
  let refused: KeyRefused | undefined;
  const usable = (members as readonly unknown[]).flatMap((member) => {
    try {
      return [importOutsideKey(member)];
    } catch (error) {
      if (!(error instanceof KeyRefused)) throw error;
      refused ??= error;
      return [];
    }
  });
  if (usable.length > 0) return usable;
  throw refused ?? new KeyRefused('the key set is empty');
}

/**
 * The usable keys of a set, each with its public members alone: what is stored has no private key that stood beside, and
 * nothing that PostgreSQL cannot hold.
 *
 * @throws KeyRefused as `readOutsideKeySet`
 */
export function canonicalKeySet(json: string): string {
  const keys = readOutsideKeySet(json).map(({ kid, algorithms, key }) => ({
    ...key.export({ format: 'jwk' }),
    ...(kid !== null && { kid }),
    ...(algorithms.length === 1 && { alg: algorithms[0] }),
  }));
  return JSON.stringify({ keys });
}

/**
 * Imports a public key of another issuer: EC on P-256 or P-384, Ed25519, or RSA with 2048 to 4096 bits and the exponent
 * 65537, whether it says `alg` and `kid` or not.
 *
 * @throws KeyRefused
 */
export function importOutsideKey(jwk: unknown): OutsideKey {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk))
    throw new KeyRefused('it is not a JSON object');
  const { kty, crv, alg, use, kid, key_ops: operations, ...values } = jwk as Record<string, unknown>;
  if (!SIGNATURE_USES.includes(use)) throw new KeyRefused('use must be sig, jwt-svid or absent');
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    throw new KeyRefused('key_ops must contain verify or be absent');
  if (kid !== undefined && (typeof kid !== 'string' || /[\p{Cc}\p{Cs}]/u.test(kid)))
    throw new KeyRefused('kid must be a string without control characters');
  if ('d' in values || 'k' in values) throw new KeyRefused('it is not a public key');
  const fitting = (Object.keys(outsideAlgorithms) as OutsideAlgorithm[]).filter((name) => {
    const row = rowOf(name);
    return row.kty === kty && row.crv === (kty === 'RSA' ? undefined : crv) && (alg ?? name) === name;
  });
  const [first] = fitting;
  if (first === undefined) throw new KeyRefused('its kty, crv and alg are those of no accepted algorithm');
  const { coordinateBytes } = rowOf(first);
  const names = coordinateBytes === null ? ['n', 'e'] : kty === 'EC' ? ['x', 'y'] : ['x'];
  const bytes = names.map((name) => bytesOf(values[name], name));
  const [modulus] = bytes;
  if (coordinateBytes === null) {
    if (values['e'] !== 'AQAB') throw new KeyRefused('e must be 65537');
    requireSoundModulus(modulus ?? Buffer.alloc(0));
  } else if (!bytes.every(({ length }) => length === coordinateBytes)) {
    throw new KeyRefused(`its coordinates must be ${coordinateBytes} bytes`);
  }
  const publicJwk = { kty, crv, ...Object.fromEntries(names.map((name) => [name, values[name]])) };
  return {
    kid: kid ?? null,
    algorithms: fitting,
    key: importKey(publicJwk),
    modulusBytes: modulus?.length ?? 0,
  };
}

/** OpenSSL refuses a point that is not on the curve. */
function importKey(key: object): KeyObject {
  try {
    return createPublicKey({ key: key as Record<string, string>, format: 'jwk' });
  } catch (cause) {
    throw new KeyRefused('its values are not a public key of the algorithm', { cause });
  }
}

function bytesOf(value: unknown, name: string): Buffer {
  if (typeof value !== 'string' || value === '' || !isCanonicalBase64url(value))
    throw new KeyRefused(`${name} must be base64url`);
  return Buffer.from(value, 'base64url');
}
