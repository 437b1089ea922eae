/** Algorithms that Postern signs with. Each key has exactly one; the token header never chooses it (T03). */
export type SigningAlgorithm = 'ES256' | 'RS256' | 'EdDSA';

/** The shape of the keys of one algorithm (RFC 7518 section 3.1, RFC 8037). */
export interface AlgorithmRow {
  readonly kty: 'EC' | 'RSA' | 'OKP';
  readonly crv?: 'P-256' | 'Ed25519';
  /** Names of the public members besides kty and crv. Each holds base64url. */
  readonly members: readonly ('x' | 'y' | 'n' | 'e')[];
  /** Length of a signature in bytes; null when it is the length of the modulus. */
  readonly signatureBytes: number | null;
  /** Algorithm parameters for `crypto.subtle`. */
  readonly subtle: RsaHashedKeyGenParams | EcKeyGenParams | { readonly name: 'Ed25519' };
}

interface RsaHashedKeyGenParams {
  readonly name: 'RSASSA-PKCS1-v1_5';
  readonly hash: 'SHA-256';
  readonly modulusLength: number;
  readonly publicExponent: Uint8Array<ArrayBuffer>;
}

interface EcKeyGenParams {
  readonly name: 'ECDSA';
  readonly namedCurve: 'P-256';
}

/** Modulus length of new RSA keys, for a security strength of 128 bits (K10). */
export const RSA_MODULUS_BITS = 3072;

export const algorithmTable: Readonly<Record<SigningAlgorithm, AlgorithmRow>> = {
  ES256: {
    kty: 'EC',
    crv: 'P-256',
    members: ['x', 'y'],
    signatureBytes: 64,
    subtle: { name: 'ECDSA', namedCurve: 'P-256' },
  },
  RS256: {
    kty: 'RSA',
    members: ['n', 'e'],
    signatureBytes: null,
    subtle: {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      modulusLength: RSA_MODULUS_BITS,
      publicExponent: Uint8Array.of(1, 0, 1),
    },
  },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', members: ['x'], signatureBytes: 64, subtle: { name: 'Ed25519' } },
};

export function isSigningAlgorithm(name: unknown): name is SigningAlgorithm {
  return typeof name === 'string' && Object.hasOwn(algorithmTable, name);
}
