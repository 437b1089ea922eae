import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import type { Database } from '../../database/database.ts';
import { insertActiveKey, listVerifyingKeys, lockSigningKeys } from './signing-key-queries.ts';
import type { SigningAlgorithm } from '../../tokens/signing-algorithm.ts';
import { newSealedKey } from './advance-signing-keys.ts';
import { checkStoredKey } from './check-stored-keys.ts';

/**
 * Creates the first signing key, once even when several instances start together. Where keys exist, checks each of them
 * instead: a wrong master key or an altered row must not be taken for a first start.
 *
 * @throws EnvelopeError when none of the master keys opens a stored key, StoredKeyRefused when its row was altered
 */
export async function ensureSigningKey(dependencies: {
  readonly database: Database;
  readonly algorithm: SigningAlgorithm;
  readonly masterKeys: readonly [MasterKey, ...MasterKey[]];
}): Promise<void> {
  const { database, algorithm, masterKeys } = dependencies;
  await database.unlimited(async (trx) => {
    await lockSigningKeys(trx);
    const keys = await listVerifyingKeys(trx);
    for (const key of keys) await checkStoredKey(key, masterKeys);
    if (keys.some(({ state }) => state === 'active')) return;
    await insertActiveKey(trx, await newSealedKey(trx, algorithm, masterKeys));
  });
}
