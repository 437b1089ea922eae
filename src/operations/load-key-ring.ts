import type { MasterKey } from '../domain/sealed-envelope.ts';
import type { StoredSigningKey } from '../store/signing-keys.ts';
import { createKeyRing, type KeyRing } from '../tokens/key-ring.ts';
import { importSigner } from '../tokens/signing-key.ts';
import { importVerificationKey } from '../tokens/verification-key.ts';
import { openSigningKey } from './signing-key-custody.ts';

/**
 * A ring of stored keys, with the active one ready to sign.
 *
 * @throws EnvelopeError when the active key does not open, KeyRefused when a stored key is not what it claims to be
 */
export async function loadKeyRing(
  stored: readonly StoredSigningKey[],
  masterKeys: readonly MasterKey[],
): Promise<KeyRing> {
  const verifying = await Promise.all(stored.map(({ publicJwk }) => importVerificationKey(publicJwk)));
  const active = stored.find(({ state }) => state === 'active');
  return createKeyRing(verifying, active ? await signerOf(active, masterKeys) : null);
}

async function signerOf(key: StoredSigningKey, masterKeys: readonly MasterKey[]) {
  const { jwk } = await importVerificationKey(key.publicJwk);
  return importSigner({
    kid: key.kid,
    algorithm: key.algorithm,
    publicJwk: jwk,
    privatePkcs8: openSigningKey(key, masterKeys),
  });
}
