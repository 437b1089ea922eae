import { type MasterKey, sealedBy } from '../../crypto/sealed-envelope.ts';
import type { Database } from '../../database/database.ts';
import * as store from './signing-key-queries.ts';
import { checkStoredKey } from './check-stored-keys.ts';
import { rewrapRootKey } from '../root-key/root-key.ts';
import { openSigningKey, sealSigningKey } from './seal-signing-key.ts';

/**
 * Reseals every private key and the root key with the current master key, in one transaction. If the process is killed,
 * every row stays as it was. Services that have both master keys can read either state.
 *
 * @param dependencies.masterKeys the current one, then the previous one
 * @returns how many keys were resealed, and how many were sealed with the current master key already
 * @throws EnvelopeError when none of the master keys opens a key, StoredKeyRefused when its row was altered; nothing is
 *   changed then
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
