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

/** How a new signing key is made. */
export interface KeyMaking {
  readonly policy: SigningKeyPolicy;
  readonly masterKeys: readonly MasterKey[];
}

/** What changes of the signing keys work with. */
export interface SigningKeyDependencies extends KeyMaking {
  readonly database: Database;
}

/**
 * The keys whose life goes on: those that may be used. None at all when the active one may not: what comes in its place is
 * for an operator to decide, and a key that was made now would hide that somebody writes to the table.
 */
export function stagesOf({ trusted, refused }: CheckedKeys): readonly KeyStage[] {
  return refused.some(({ stored }) => stored.state === 'active') ? [] : trusted.map(({ stored }) => stored);
}

/**
 * Takes the steps of the keys' life cycle that are due, once however many instances see them at the same time.
 *
 * @throws EnvelopeError when a key is due and no given master key seals the keys now
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
    const steps = dueSteps(stagesOf(keys), policy, await store.readClock(trx));
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
      // The old one first: the database allows one active key at any moment.
      if (step.retire !== null) await store.retireKey(trx, step.retire, step.removeAtMs);
      return store.activateKey(trx, step.kid);
    case 'remove':
      return store.removeKey(trx, step.kid);
    default:
      return step satisfies never;
  }
}

/**
 * A new key, sealed as all others are. Hold the lock on the signing keys.
 *
 * @throws EnvelopeError when no given master key seals the others
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
