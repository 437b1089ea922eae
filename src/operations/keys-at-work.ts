import { budgetOf } from '../domain/call-budget.ts';
import type { MasterKey } from '../domain/sealed-envelope.ts';
import type { Database } from '../store/database.ts';
import { listVerifyingKeys, readClock, type StoredSigningKey } from '../store/signing-keys.ts';
import { createKeyRing } from '../tokens/key-ring.ts';
import { dueSteps, type KeyStage, type KeyStep } from '../domain/key-life-cycle.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import { advanceSigningKeys, type SigningKeyPolicy } from './advance-signing-keys.ts';
import { ensureSigningKey } from './ensure-signing-key.ts';
import { loadKeyRing } from './load-key-ring.ts';

const READ_LIMIT_MS = 1_000;

/** Where the keys that sign and verify come from. */
export interface KeysAtWork {
  /** Makes sure that there is a key to sign with; throws what must stop the start. */
  prepare(): Promise<void>;
  /** Brings the trust bundle up to date with the database. */
  refresh(): Promise<void>;
  /** The published keys as they were at the last refresh; null before the first. */
  readonly stages: () => readonly KeyStage[] | null;
}

/**
 * Signing keys of the database, moved along their life cycle as time goes by; `report` hears of each step that this process took. A set
 * that has not changed is not imported again.
 */
export function storedKeys(
  database: Database,
  trust: TrustBundle,
  policy: SigningKeyPolicy,
  masterKeys: readonly [MasterKey, ...MasterKey[]],
  report: (step: KeyStep) => void,
): KeysAtWork {
  let current = '';
  let stages: readonly KeyStage[] | null = null;
  return {
    prepare: () => ensureSigningKey(database, policy.algorithm, masterKeys),
    async refresh() {
      const read = () => database.run(budgetOf(READ_LIMIT_MS, Date.now()), (db) => listVerifyingKeys(db));
      let stored = await read();
      const nowMs = await database.run(budgetOf(READ_LIMIT_MS, Date.now()), readClock);
      if (dueSteps(stored, policy, nowMs).length > 0) {
        for (const step of await advanceSigningKeys(database, policy, masterKeys[0])) report(step);
        stored = await read();
      }
      stages = stored;
      const found = fingerprint(stored);
      if (found === current) return;
      trust.replaceKeys(await loadKeyRing(stored, masterKeys));
      current = found;
    },
    stages: () => stages,
  };
}

/** HS256 mode: the shared secret is the only key and no set is published; the database is only asked for life. */
export function sharedSecretOnly(database: Database, trust: TrustBundle): KeysAtWork {
  return {
    prepare: () => Promise.resolve(),
    async refresh() {
      await database.run(budgetOf(READ_LIMIT_MS, Date.now()), (db) => db.select(db.raw('1')));
      if (!trust.loaded) trust.replaceKeys(createKeyRing([]));
    },
    stages: () => [],
  };
}

function fingerprint(keys: readonly StoredSigningKey[]): string {
  return keys.map(({ kid, state }) => `${kid} ${state}`).join('\n');
}
