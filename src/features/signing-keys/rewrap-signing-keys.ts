import { type MasterKey, sealedBy } from '../../crypto/sealed-envelope.ts';
import type { Database } from '../../database/database.ts';
import * as store from './signing-key-queries.ts';
import { checkStoredKey } from './check-stored-keys.ts';
import { rewrapRootKey } from '../root-key/root-key.ts';
import { openSigningKey, sealSigningKey } from './seal-signing-key.ts';

/**
 * Seals every private key, and the root key of refresh tokens, with the current master key. All of them in one transaction: a kill in the middle leaves
 * each row as it was, and services that know both master keys read either state.
 *
 * @param dependencies.masterKeys the current one, then the previous one
 * @throws EnvelopeError when a key opens with none of them, StoredKeyRefused when its row was altered; nothing is changed
 *   then
 */
export async function rewrapSigningKeys(dependencies: {
  readonly database: Database;
  readonly masterKeys: readonly [MasterKey, ...MasterKey[]];
}): Promise<{ rewrapped: number; already: number }> {
  const { database, masterKeys } = dependencies;
  return database.unlimited(async (trx) => {
    await store.lockSigningKeys(trx);
    let rewrapped = 0;
    let already = 0;
    for (const key of await store.listVerifyingKeys(trx)) {
      await checkStoredKey(key, masterKeys);
      const privatePkcs8 = openSigningKey(key, masterKeys);
      if (sealedBy(key.sealedPrivateKey ?? new Uint8Array()) === masterKeys[0].id) {
        already += 1;
        continue;
      }
      await store.replaceSealedKey(trx, key.kid, sealSigningKey({ ...key, privatePkcs8 }, masterKeys[0]));
      rewrapped += 1;
    }
    const root = await rewrapRootKey(trx, masterKeys);
    if (root === 'rewrapped') rewrapped += 1;
    if (root === 'already') already += 1;
    return { rewrapped, already };
  });
}
