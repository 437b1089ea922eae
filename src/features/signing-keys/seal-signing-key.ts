import { randomBytes } from 'node:crypto';

import { type MasterKey, seal, unseal } from '../../crypto/sealed-envelope.ts';
import type { StoredSigningKey } from './signing-key-queries.ts';
import type { SigningKeyPair } from '../../tokens/issue/signing-key.ts';

/** The identity that an envelope is authenticated with, so that an envelope moved to another row does not open. */
function identityOf(key: { kid: string; algorithm: string }): string {
  return `signing key ${key.kid} ${key.algorithm}`;
}

/** Seals the private half of a key. */
export function sealSigningKey(
  pair: Pick<SigningKeyPair, 'kid' | 'algorithm' | 'privatePkcs8'>,
  masterKey: MasterKey,
): Buffer {
  return seal(pair.privatePkcs8, identityOf(pair), masterKey, randomBytes(12));
}

/**
 * Opens the private half of a stored key.
 *
 * @returns PKCS #8 in DER
 * @throws EnvelopeError when none of the master keys sealed it, or the row was altered
 */
export function openSigningKey(key: StoredSigningKey, masterKeys: readonly MasterKey[]): Buffer {
  return unseal(key.sealedPrivateKey ?? new Uint8Array(), identityOf(key), masterKeys);
}
