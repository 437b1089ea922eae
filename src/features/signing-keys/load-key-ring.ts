import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import type { StoredSigningKey } from './signing-key-queries.ts';
import { createKeyRing, type KeyRing } from '../../tokens/verify/key-ring.ts';
import type { Signer } from '../../tokens/issue/signer.ts';
import { importSigner } from '../../tokens/issue/signing-key.ts';
import { type CheckedKey, checkStoredKey } from './check-stored-keys.ts';
import { openSigningKey } from './seal-signing-key.ts';

/**
 * Checks stored keys and builds a key ring from them, with a signer for the active one.
 *
 * @throws EnvelopeError when none of the master keys opens a key, StoredKeyRefused when its row was altered
 */
export async function loadKeyRing(
  stored: readonly StoredSigningKey[],
  masterKeys: readonly MasterKey[],
): Promise<KeyRing> {
  const keys = await Promise.all(
    stored.map(async (key) => ({ stored: key, verificationKey: await checkStoredKey(key, masterKeys) })),
  );
  const active = keys.find(({ stored: { state } }) => state === 'active');
  return ringOf(keys, active ? await signerOf(active, masterKeys) : null);
}

/** Builds a key ring from checked keys. */
export function ringOf(keys: readonly CheckedKey[], signer: Signer | null): KeyRing {
  return createKeyRing(
    keys.map(({ verificationKey }) => verificationKey),
    signer,
  );
}

/** @throws EnvelopeError when the key was resealed after its check, with a master key that is not given */
export function signerOf(
  { stored, verificationKey }: CheckedKey,
  masterKeys: readonly MasterKey[],
): Promise<Signer> {
  return importSigner({
    kid: stored.kid,
    algorithm: stored.algorithm,
    publicJwk: verificationKey.jwk,
    privatePkcs8: openSigningKey(stored, masterKeys),
  });
}
