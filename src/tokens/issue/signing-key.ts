import { createPrivateKey, createPublicKey, KeyObject, webcrypto } from 'node:crypto';
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

/** A key pair as it is stored: the public key for the JWKS, the private key to be sealed with the master key. */
export interface SigningKeyPair {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly publicJwk: PublicJwk;
  /** PKCS #8, DER. */
  readonly privatePkcs8: Uint8Array;
}

/**
 * Generates a key pair: P-256, RSA 3072 with e = 65537, or Ed25519 (K10). An RSA pair takes about 0.5 s, off the main
 * thread.
 */
export async function generateSigningKey(algorithm: SigningAlgorithm): Promise<SigningKeyPair> {
  const row = algorithmTable[algorithm];
  const pair = (await webcrypto.subtle.generateKey(row.subtle, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const { x, y, n, e } = await exportJWK(pair.publicKey);
  const publicMembers = Object.fromEntries(
    Object.entries({ x, y, n, e }).filter(([, value]) => value !== undefined),
  );
  const jwk = { kty: row.kty, ...(row.crv && { crv: row.crv }), ...publicMembers };
  const kid = await thumbprintOf(jwk);
  const privatePkcs8 = new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey));
  return { kid, algorithm, publicJwk: { ...jwk, kid, alg: algorithm, use: 'sig' }, privatePkcs8 };
}

/**
 * Computes the kid of a private key from its public key, to compare it with the kid of a published key. Throws
 * `KeyRefused`.
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
 * Creates the signer of a stored key pair. Signs once and verifies with the public key, so that a mismatched pair fails
 * at start-up rather than at every caller. Throws `KeyRefused`.
 */
export async function importSigner(pair: SigningKeyPair): Promise<Signer> {
  const { algorithm } = pair;
  const verificationKey = await importVerificationKey(pair.publicJwk);
  if (verificationKey.kid !== pair.kid || verificationKey.algorithm !== algorithm) {
    throw new KeyRefused('its kid or algorithm is not that of its public key');
  }
  if (algorithm === 'RS256' && verificationKey.signatureBytes * 8 < RSA_MODULUS_BITS) {
    throw new KeyRefused(`an RSA key must have at least ${RSA_MODULUS_BITS} bits to sign`);
  }
  let privateKey: webcrypto.CryptoKey;
  try {
    const der = new Uint8Array(pair.privatePkcs8);
    privateKey = await webcrypto.subtle.importKey('pkcs8', der, algorithmTable[algorithm].subtle, false, [
      'sign',
    ]);
    der.fill(0);
  } catch (cause) {
    throw new KeyRefused(`its private key is not a PKCS #8 key for ${algorithm}`, { cause });
  }
  const signer = createSigner({ algorithm, kid: pair.kid, key: KeyObject.from(privateKey) });
  if (!(await signatureMatches(await signer.sign({}), verificationKey))) {
    throw new KeyRefused('its private key does not match its public key');
  }
  return signer;
}
