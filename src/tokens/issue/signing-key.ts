import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import { exportJWK } from 'jose/key/export';
import { createSigner, type Signer } from './signer.ts';
import { algorithmTable, RSA_MODULUS_BITS, type SigningAlgorithm } from '../signing-algorithm.ts';
import {
  importVerificationKey,
  KeyRefused,
  type PublicJwk,
  type ThumbprintMembers,
  thumbprintOf,
} from '../verify/verification-key.ts';
import { signatureMatches } from '../verify/verify-signature.ts';

/** A key as it is stored: the public half for the JWKS, the private half for the envelope of the master key. */
export interface SigningKeyPair {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly publicJwk: PublicJwk;
  /** PKCS #8, DER. */
  readonly privatePkcs8: Uint8Array;
}

/** A new key pair: P-256, RSA 3072 with e = 65537, or Ed25519 (K10). An RSA pair takes about half a second off the main thread. */
export async function generateSigningKey(algorithm: SigningAlgorithm): Promise<SigningKeyPair> {
  const row = algorithmTable[algorithm];
  const pair = (await webcrypto.subtle.generateKey(row.subtle, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const { x, y, n, e } = await exportJWK(pair.publicKey);
  const numbers = Object.fromEntries(
    Object.entries({ x, y, n, e }).filter(([, value]) => value !== undefined),
  );
  const kind = { kty: row.kty, ...(row.crv && { crv: row.crv }), ...numbers };
  const kid = await thumbprintOf(kind);
  const privatePkcs8 = new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey));
  return { kid, algorithm, publicJwk: { ...kind, kid, alg: algorithm, use: 'sig' }, privatePkcs8 };
}

/**
 * The kid of the public key that belongs to a private one: what a public key claims to be is compared with this.
 * Throws `KeyRefused`.
 *
 * @param privatePkcs8 PKCS #8, DER
 */
export async function kidOfPrivateKey(privatePkcs8: Uint8Array): Promise<string> {
  try {
    const key = createPrivateKey({ key: Buffer.from(privatePkcs8), format: 'der', type: 'pkcs8' });
    return await thumbprintOf(createPublicKey(key).export({ format: 'jwk' }) as ThumbprintMembers);
  } catch (cause) {
    throw new KeyRefused('its private key is not PKCS #8', { cause });
  }
}

/**
 * The signer of a stored pair. Signs once and verifies with the public half, so that a pair put together wrongly stops
 * the start and not every caller. Throws `KeyRefused`.
 */
export async function importSigner(pair: SigningKeyPair): Promise<Signer> {
  const { algorithm } = pair;
  const verificationKey = await importVerificationKey(pair.publicJwk);
  if (verificationKey.kid !== pair.kid || verificationKey.algorithm !== algorithm) {
    throw new KeyRefused('kid or algorithm is not that of its public key');
  }
  if (algorithm === 'RS256' && verificationKey.signatureBytes * 8 < RSA_MODULUS_BITS) {
    throw new KeyRefused(`an RSA key that signs must have ${RSA_MODULUS_BITS} bits`);
  }
  let privateKey: webcrypto.CryptoKey;
  try {
    const der = new Uint8Array(pair.privatePkcs8);
    privateKey = await webcrypto.subtle.importKey('pkcs8', der, algorithmTable[algorithm].subtle, false, [
      'sign',
    ]);
    der.fill(0);
  } catch (cause) {
    throw new KeyRefused('its private key is not PKCS #8 of the algorithm', { cause });
  }
  const signer = createSigner({ algorithm, kid: pair.kid, key: privateKey });
  if (!(await signatureMatches(await signer.sign({}), verificationKey))) {
    throw new KeyRefused('its private key and its public key do not belong together');
  }
  return signer;
}
