import type { MasterKey } from '../domain/sealed-envelope.ts';
import type { Database } from '../store/database.ts';
import { insertActiveKey, listVerifyingKeys, lockSigningKeys } from '../store/signing-keys.ts';
import { generateSigningKey } from '../tokens/signing-key.ts';
import type { SigningAlgorithm } from '../tokens/signing-algorithm.ts';
import { openSigningKey, sealSigningKey } from './signing-key-custody.ts';

/**
 * Makes the first signing key, once however many instances start together. Where keys exist, checks that the master
 * key opens them, and never makes another one in their place: a wrong master key must not look like a first start.
 *
 * @throws EnvelopeError when a stored key does not open
 */
export async function ensureSigningKey(
  database: Database,
  algorithm: SigningAlgorithm,
  masterKeys: readonly [MasterKey, ...MasterKey[]],
): Promise<void> {
  await database.unlimited(async (trx) => {
    await lockSigningKeys(trx);
    const keys = await listVerifyingKeys(trx);
    for (const key of keys) openSigningKey(key, masterKeys);
    if (keys.some(({ state }) => state === 'active')) return;
    const pair = await generateSigningKey(algorithm);
    await insertActiveKey(trx, { ...pair, sealedPrivateKey: sealSigningKey(pair, masterKeys[0]) });
  });
}
