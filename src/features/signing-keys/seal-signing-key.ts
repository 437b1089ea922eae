import { randomBytes } from 'node:crypto';

import { type MasterKey, seal, unseal } from '../../crypto/sealed-envelope.ts';
import type { StoredSigningKey } from './signing-key-queries.ts';
import type { SigningKeyPair } from '../../tokens/issue/signing-key.ts';

/** What an envelope is authenticated with, so that a row's envelope opens in no other row. */
function identityOf(key: { kid: string; algorithm: string }): string {
  return `signing key ${key.kid} ${key.algorithm}`;
}

export function sealSigningKey(
  pair: Pick<SigningKeyPair, 'kid' | 'algorithm' | 'privatePkcs8'>,
  masterKey: MasterKey,
): Buffer {
  return seal(pair.privatePkcs8, identityOf(pair), masterKey, randomBytes(12));
}

/**
 * The private half of a stored key, PKCS #8 in DER.
 *
 * @throws EnvelopeError when no given master key sealed it, or the row was altered
 */
export function openSigningKey(key: StoredSigningKey, masterKeys: readonly MasterKey[]): Buffer {
  return unseal(key.sealedPrivateKey ?? new Uint8Array(), identityOf(key), masterKeys);
}
