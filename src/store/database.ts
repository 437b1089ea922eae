import knex, { type Knex } from 'knex';
import type { ClientConfig } from 'pg';

import type { CallBudget } from '../domain/call-budget.ts';
import { Rejected } from '../domain/rejection.ts';
import { connectionOf, type DatabaseAddress } from './database-address.ts';
import { isRetryable, storeUnavailable, translateStoreError } from './store-errors.ts';
import { WatchedPgClient } from './watched-pg-client.ts';

/** What a call may spend on the database in all; a caller of a writing RPC has its UNAVAILABLE within 2 s. */
const STORE_LIMIT_MS = 1_900;
const CONNECT_TIMEOUT_MS = 1_000;
const STATEMENT_TIMEOUT_MS = 2_000;
const LOCK_TIMEOUT_MS = 250;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;
const MAX_ATTEMPTS = 3;
const RETRY_JITTER_MS = 20;

/** What a table's queries run on inside a transaction. */
export type Transaction = Knex.Transaction;

export interface DatabaseOptions {
  readonly address: DatabaseAddress;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly maxConnections: number;
  /** Told of faults of idle connections; they are replaced without anyone's doing. */
  readonly warn: (message: string) => void;
}

/**
 * The pool of connections. Every use gives its call's budget: what the budget or the database cannot meet ends as
 * `store-unavailable` (or `deadline-exceeded`), never as a wait. Work that timed out here may still commit; every
 * operation is safe to repeat.
 */
export class Database {
  readonly #knex: Knex;

  constructor(options: DatabaseOptions) {
    const connection: ClientConfig = {
      ...connectionOf(options.address),
      application_name: options.applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
      keepAlive: true,
    };
    this.#knex = knex({
      client: WatchedPgClient,
      // Spares each pool a `select version()` before its first query.
      version: '18',
      connection: connection as Knex.StaticConnectionConfig,
      pool: { min: 0, max: options.maxConnections },
      acquireConnectionTimeout: CONNECT_TIMEOUT_MS,
      log: {
        warn: (message: unknown) => options.warn(String(message).split('\n', 1)[0] ?? ''),
        error: (message: unknown) => options.warn(String(message).split('\n', 1)[0] ?? ''),
        deprecate: () => undefined,
        debug: () => undefined,
      },
    });
  }

  /** Runs statements that stand each for itself. */
  run<T>(budget: CallBudget, work: (db: Knex) => PromiseLike<T>): Promise<T> {
    return withinBudget(budget, async () => work(this.#knex));
  }

  /**
   * Runs work in one transaction: all of it is committed when the promise resolves, nothing of it when it rejects
   * with anything but `store-unavailable`. A serialisation failure or deadlock starts it again, at most three times
   * in all, so the work must not have effects outside the database.
   */
  transaction<T>(budget: CallBudget, work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
    return withinBudget(budget, async () => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.#knex.transaction(work);
        } catch (error) {
          if (!isRetryable(error) || attempt === MAX_ATTEMPTS || budget.signal.aborted) throw error;
          await new Promise((resolve) => setTimeout(resolve, Math.random() * RETRY_JITTER_MS * attempt));
        }
      }
    });
  }

  /** Runs work that may take long, such as a migration, in one transaction and without a budget. */
  async unlimited<T>(work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
    try {
      return await this.#knex.transaction(work);
    } catch (error) {
      throw translateStoreError(error);
    }
  }

  async close(): Promise<void> {
    await this.#knex.destroy();
  }
}

/** Gives the caller its answer in time, whether or not the work has ended; the watchdog frees what it holds. */
async function withinBudget<T>(budget: CallBudget, work: () => Promise<T>): Promise<T> {
  if (budget.signal.aborted) throw new Rejected({ kind: 'cancelled' });
  const remainingMs = budget.deadlineMs - Date.now();
  if (remainingMs <= 0) throw new Rejected({ kind: 'deadline-exceeded' });

  let giveUp: (rejection: Rejected) => void = () => undefined;
  const outOfTime = new Promise<never>((_resolve, reject) => (giveUp = reject));
  const timer = setTimeout(
    () => giveUp(storeUnavailable('no answer within the time budget')),
    Math.min(remainingMs, STORE_LIMIT_MS),
  );
  const onAbort = () => giveUp(new Rejected({ kind: 'cancelled' }));
  budget.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(), outOfTime]);
  } catch (error) {
    throw translateStoreError(error);
  } finally {
    clearTimeout(timer);
    budget.signal.removeEventListener('abort', onAbort);
  }
}
