import { dueSteps, type KeyPolicy, type KeyStage, type KeyStep } from './key-lifecycle.ts';
import type { MasterKey } from '../../crypto/sealed-envelope.ts';
import type { Database, Transaction } from '../../database/database.ts';
import * as store from './signing-key-queries.ts';
import { generateSigningKey } from '../../tokens/issue/signing-key.ts';
import type { SigningAlgorithm } from '../../tokens/signing-algorithm.ts';
import type { CheckedKeys, StoredKeyChecker } from './check-stored-keys.ts';
import { sealingKey } from '../root-key/root-key.ts';
import { sealSigningKey } from './seal-signing-key.ts';

export interface SigningKeyPolicy extends KeyPolicy {
  readonly algorithm: SigningAlgorithm;
}

/** What the creation of a signing key needs. */
export interface KeyMaking {
  readonly policy: SigningKeyPolicy;
  readonly masterKeys: readonly MasterKey[];
}

/** What changes of the signing keys need. */
export interface SigningKeyDependencies extends KeyMaking {
  readonly database: Database;
}

/**
 * The keys that move on in their life cycle: those that passed their check. None when the active key failed its check.
 * An operator must then decide what replaces it, and a new key would hide that somebody else writes to the table.
 */
export function stagesToAdvance({ trusted, refused }: CheckedKeys): readonly KeyStage[] {
  return refused.some(({ stored }) => stored.state === 'active') ? [] : trusted.map(({ stored }) => stored);
}

/**
 * Takes the steps of the life cycle that are due, each once even when several instances see them at the same time.
 *
 * @returns the steps that were taken
 * @throws EnvelopeError when a new key is due and none of the master keys is the one that seals the keys now
 */
export async function advanceSigningKeys(dependencies: {
  readonly database: Database;
  readonly policy: SigningKeyPolicy;
  readonly checker: StoredKeyChecker;
}): Promise<KeyStep[]> {
  const { database, policy, checker } = dependencies;
  return database.unlimited(async (trx) => {
    await store.lockSigningKeys(trx);
    const keys = await checker.checkAll(await store.listVerifyingKeys(trx));
    const steps = dueSteps(stagesToAdvance(keys), policy, await store.readClock(trx));
    for (const step of steps) await applyStep(trx, step, policy, checker.masterKeys);
    return steps;
  });
}

async function applyStep(
  trx: Transaction,
  step: KeyStep,
  policy: SigningKeyPolicy,
  masterKeys: readonly MasterKey[],
): Promise<void> {
  switch (step.kind) {
    case 'prepare': {
      const key = await newSealedKey(trx, policy.algorithm, masterKeys);
      return store.insertPendingKey(trx, key, step.activateAtMs);
    }
    case 'activate':
      // The old key is retired first, because the database allows one active key only.
      if (step.retire !== null) await store.retireKey(trx, step.retire, step.removeAtMs);
      return store.activateKey(trx, step.kid);
    case 'remove':
      return store.removeKey(trx, step.kid);
    default:
      return step satisfies never;
  }
}

/**
 * Generates a key pair, sealed with the master key that seals the other keys. The caller must hold the lock on the
 * signing keys.
 *
 * @throws EnvelopeError when none of the master keys is the one that seals the other keys
 */
export async function newSealedKey(
  trx: Transaction,
  algorithm: SigningAlgorithm,
  masterKeys: readonly MasterKey[],
): Promise<store.NewSigningKey> {
  const masterKey = await sealingKey(trx, masterKeys);
  const pair = await generateSigningKey(algorithm);
  return { ...pair, sealedPrivateKey: sealSigningKey(pair, masterKey) };
}
