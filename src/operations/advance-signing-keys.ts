import { dueSteps, type KeyPolicy, type KeyStep } from '../domain/key-life-cycle.ts';
import type { MasterKey } from '../domain/sealed-envelope.ts';
import type { Database, Transaction } from '../store/database.ts';
import * as store from '../store/signing-keys.ts';
import { generateSigningKey } from '../tokens/signing-key.ts';
import type { SigningAlgorithm } from '../tokens/signing-algorithm.ts';
import { sealSigningKey } from './signing-key-custody.ts';

export interface SigningKeyPolicy extends KeyPolicy {
  readonly algorithm: SigningAlgorithm;
}

/** Takes the steps of the keys' life cycle that are due, once however many instances see them at the same time. */
export async function advanceSigningKeys(
  database: Database,
  policy: SigningKeyPolicy,
  masterKey: MasterKey,
): Promise<KeyStep[]> {
  return database.unlimited(async (trx) => {
    await store.lockSigningKeys(trx);
    const steps = dueSteps(await store.listVerifyingKeys(trx), policy, await store.readClock(trx));
    for (const step of steps) await take(trx, step, policy, masterKey);
    return steps;
  });
}

async function take(
  trx: Transaction,
  step: KeyStep,
  policy: SigningKeyPolicy,
  masterKey: MasterKey,
): Promise<void> {
  switch (step.kind) {
    case 'prepare': {
      const key = await newSealedKey(policy.algorithm, masterKey);
      return store.insertPendingKey(trx, key, step.activateAtMs);
    }
    case 'activate':
      // The old one first: the database allows one active key at any moment.
      if (step.retire !== null) await store.retireKey(trx, step.retire, step.removeAtMs);
      return store.activateKey(trx, step.kid);
    case 'remove':
      return store.removeKey(trx, step.kid);
    default:
      return step satisfies never;
  }
}

export async function newSealedKey(
  algorithm: SigningAlgorithm,
  masterKey: MasterKey,
): Promise<store.NewSigningKey> {
  const pair = await generateSigningKey(algorithm);
  return { ...pair, sealedPrivateKey: sealSigningKey(pair, masterKey) };
}
