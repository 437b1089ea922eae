import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import type { Database } from '../../database/database.ts';
import { insertActiveKey, listVerifyingKeys, lockSigningKeys } from './signing-key-queries.ts';
import type { SigningAlgorithm } from '../../tokens/signing-algorithm.ts';
import { newSealedKey } from './advance-signing-keys.ts';
import { checkStoredKey } from './check-stored-keys.ts';

/**
 * Makes the first signing key, once however many instances start together. Where keys exist, checks that the master
 * key opens them and that they are what they claim to be, and never makes another one in their place: neither a wrong master
 * key nor an altered row must look like a first start.
 *
 * @throws EnvelopeError when a stored key does not open, StoredKeyRefused when its public half is another's
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
