import { sleepUnlessAborted } from '../../domain/concurrency/sleep.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import { purgeApiKeys } from '../api-keys/api-key-queries.ts';
import { maintainAuditPartitions, purgeAuditEvents } from '../audit/audit-queries.ts';
import type { Database } from '../../database/database.ts';
import { purgeLoginThrottle } from '../authentication/throttle/throttle-queries.ts';
import { tryPurgeLock } from '../../database/advisory-locks.ts';
import { purgePasswordResets } from '../users/password-reset-queries.ts';
import { purgeRevocations } from '../revocations/revocation-queries.ts';
import { purgeServiceTokens } from '../service-accounts/service-token-queries.ts';
import { purgeCodeFailures } from '../second-factors/code-failure-queries.ts';
import { purgePendingFactors } from '../second-factors/factor-queries.ts';
import { purgeUsedOnce } from '../used-once/used-once-queries.ts';
import { purgeSessions } from '../sessions/session-queries.ts';

/** A batch of this size takes a few milliseconds, so other statements hardly wait for its rows. */
const BATCH_ROWS = 500;
const PAUSE_BETWEEN_BATCHES_MS = 50;
const BATCH_BUDGET_MS = 2_000;
const PURGE_INTERVAL_MS = 60_000;

/**
 * Deletes expired rows (sessions, revocations, login throttle counters, service account tokens, API keys, password resets, what is
 * accepted once, factors that were not confirmed, counts of wrong codes) and old audit events in small batches, each in its own
 * transaction, until nothing is left or another instance is purging (S16).
 *
 * @returns the number of deleted rows
 * @throws Rejected `store-unavailable`; batches that were committed before stay deleted
 */
export async function purgeExpired(
  { database }: { readonly database: Database },
  { signal }: { readonly signal: AbortSignal },
): Promise<number> {
  let purged = 0;
  while (!signal.aborted) {
    const deleted = await database.transaction(budgetOf(BATCH_BUDGET_MS, Date.now()), async (trx) => {
      if (!(await tryPurgeLock(trx))) return [];
      return [
        await purgeSessions(trx, BATCH_ROWS),
        await purgeRevocations(trx, BATCH_ROWS),
        await purgeLoginThrottle(trx, BATCH_ROWS),
        await purgeServiceTokens(trx, BATCH_ROWS),
        await purgePasswordResets(trx, BATCH_ROWS),
        await purgeUsedOnce(trx, BATCH_ROWS),
        await purgeApiKeys(trx, BATCH_ROWS),
        await purgePendingFactors(trx, BATCH_ROWS),
        await purgeCodeFailures(trx, BATCH_ROWS),
        await purgeAuditEvents(trx, BATCH_ROWS),
      ];
    });
    purged += deleted.reduce((sum, count) => sum + count, 0);
    if (!deleted.includes(BATCH_ROWS)) break;
    await sleepUnlessAborted(PAUSE_BETWEEN_BATCHES_MS, signal);
  }
  return purged;
}

/**
 * Makes the partitions of the audit trail ahead of time and drops old ones, unless another instance is purging.
 *
 * @throws Rejected `store-unavailable`, also when somebody holds a lock on the audit trail, such as a backup
 */
export async function maintainPartitions({ database }: { readonly database: Database }): Promise<void> {
  await database.transaction(budgetOf(BATCH_BUDGET_MS, Date.now()), async (trx) => {
    if (await tryPurgeLock(trx)) await maintainAuditPartitions(trx);
  });
}

interface ExpiryPurgeOptions {
  readonly database: Database;
  readonly report: (purged: number) => void;
  /** Receives why a turn failed. Nothing else would show it: no call waits for the purge. */
  readonly onFailed: (error: unknown) => void;
  readonly everyMs?: number;
}

/** Purges once a minute until `stop`. When a turn fails it tries again a minute later. */
export class ExpiryPurge {
  readonly #options: ExpiryPurgeOptions;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(options: ExpiryPurgeOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  /** Resolves when the current batch has ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { database, report, onFailed, everyMs = PURGE_INTERVAL_MS } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      await sleepUnlessAborted(everyMs, signal, { ref: false });
      if (signal.aborted) return;
      // A backup holds a lock that this meets every time. `doctor` reports partitions that are missing.
      await maintainPartitions({ database }).catch(() => undefined);
      const purged = await purgeExpired({ database }, { signal }).catch((error: unknown) => {
        onFailed(error);
        return 0;
      });
      if (purged > 0) report(purged);
    }
  }
}
