import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import type { StoredSigningKey } from './signing-key-queries.ts';
import { createKeyRing, type KeyRing } from '../../tokens/verify/key-ring.ts';
import type { Signer } from '../../tokens/issue/signer.ts';
import { importSigner } from '../../tokens/issue/signing-key.ts';
import { type CheckedKey, checkStoredKey } from './check-stored-keys.ts';
import { openSigningKey } from './seal-signing-key.ts';

/**
 * A ring of stored keys, each of them checked, with the active one ready to sign.
 *
 * @throws EnvelopeError or StoredKeyRefused when one of them is not what it claims to be
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

/** A ring of checked keys. */
export function ringOf(keys: readonly CheckedKey[], signer: Signer | null): KeyRing {
  return createKeyRing(
    keys.map(({ verificationKey }) => verificationKey),
    signer,
  );
}

/** @throws EnvelopeError when it was checked with a master key that does not seal it any more */
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
