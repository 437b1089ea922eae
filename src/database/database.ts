import { setTimeout as pause } from 'node:timers/promises';

import knex, { type Knex } from 'knex';
import type { ClientConfig } from 'pg';

import type { CallBudget } from '../domain/operation-call.ts';
import { Rejected, RETRY_AFTER_MS } from '../domain/rejection.ts';
import type { Tracer } from '../domain/tracer.ts';
import { connectionsOf, type DatabaseAddress } from './database-address.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import { ConnectionQueue } from './connection-queue.ts';
import {
  CONNECT_LIMIT_MS,
  CONNECT_TIMEOUT_MS,
  IDLE_IN_TRANSACTION_TIMEOUT_MS,
  LOCK_TIMEOUT_MS,
  SILENCE_FROM_MS,
  STATEMENT_TIMEOUT_MS,
  STORE_LIMIT_MS,
  WATCHDOG_MS,
} from './time-limits.ts';
import { startIoFairTimeout } from './timeouts.ts';
import { isRetryable, sqlState, storeUnavailable, translateStoreError } from './pg-errors.ts';
import { type GuardedConfig, GuardedPgClient } from './pg-client.ts';
import { PrimaryConnector } from './primary-connector.ts';

const MAX_ATTEMPTS = 3;
const RETRY_JITTER_MS = 20;

/** What a table's queries run on inside a transaction. */
export type Transaction = Knex.Transaction;

export interface DatabaseOptions {
  readonly address: DatabaseAddress;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly maxConnections: number;
  /** Told, each time, of connections that were lost or cannot be made; they are replaced without anyone's doing. */
  readonly warn: (message: string) => void;
  /** Of the service: who is `guarded` does not wait while it is open, who is `probing` finds out when it may close. */
  readonly circuit?: { readonly state: CircuitBreaker; readonly role: 'guarded' | 'probing' };
  readonly tracer?: Tracer | undefined;
  /** How long a query may stay without an answer before its connection is given up. */
  readonly watchdogMs?: number;
}

/** The part of knex's pool that tells how busy it is; there is none after `close`. */
interface Pool {
  numUsed(): number;
  numFree(): number;
  numPendingAcquires(): number;
}

/**
 * The pool of connections. Every use gives its call's budget: what the budget or the database cannot meet ends as
 * `store-unavailable` (or `deadline-exceeded`), never as a wait. Work that timed out here may still commit; every
 * operation is safe to repeat.
 */
export class Database {
  readonly maxConnections: number;
  readonly #knex: Knex;
  readonly #queue: ConnectionQueue;
  readonly #circuit: DatabaseOptions['circuit'];
  readonly #tracer: Tracer | undefined;

  constructor(options: DatabaseOptions) {
    this.maxConnections = options.maxConnections;
    this.#queue = new ConnectionQueue(options.maxConnections, CONNECT_TIMEOUT_MS);
    const servers = connectionsOf(options.address);
    const connection: ClientConfig = {
      ...servers[0],
      application_name: options.applicationName,
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
      keepAlive: true,
    };
    this.#circuit = options.circuit;
    this.#tracer = options.tracer;
    const guardedConfig: GuardedConfig = {
      watchdogMs: options.watchdogMs ?? WATCHDOG_MS,
      connectMs: CONNECT_TIMEOUT_MS,
      server: new PrimaryConnector(servers),
    };
    this.#knex = knex({
      ...guardedConfig,
      client: GuardedPgClient,
      // Or the messages of errors would hold the values of the statement, and logs a password's hash (O01).
      compileSqlOnError: false,
      // Spares each pool a `select version()` before its first query.
      version: '18',
      connection: connection as Knex.StaticConnectionConfig,
      pool: { min: 0, max: options.maxConnections },
      acquireConnectionTimeout: CONNECT_LIMIT_MS,
      log: {
        warn: (message: unknown) => options.warn(poolWarning(message)),
        error: (message: unknown) => options.warn(poolWarning(message)),
        deprecate: () => undefined,
        debug: () => undefined,
      },
    });
  }

  /** Connections now, and how many uses wait for one. */
  get connections(): { used: number; free: number; waiting: number } {
    const { pool } = this.#knex.client as { pool?: Pool };
    if (!pool) return { used: 0, free: 0, waiting: 0 };
    return {
      used: pool.numUsed(),
      free: pool.numFree(),
      waiting: this.#queue.waiting + pool.numPendingAcquires(),
    };
  }

  /**
   * Runs statements that stand each for itself. A serialisation failure or deadlock starts the work again, as in
   * `transaction`.
   */
  run<T>(budget: CallBudget, work: (db: Knex) => PromiseLike<T>): Promise<T> {
    return this.#traced(budget, async () => work(this.#knex));
  }

  /**
   * Runs work in one transaction: all of it is committed when the promise resolves, nothing of it when it rejects
   * with anything but `store-unavailable`. A serialisation failure or deadlock starts it again, at most three times
   * in all, so the work must not have effects outside the database.
   */
  transaction<T>(budget: CallBudget, work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
    return this.#traced(budget, () => this.#knex.transaction(work));
  }

  /** Runs work that may take long, such as a migration, in one transaction and without a budget. */
  async unlimited<T>(work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
    try {
      return await this.#knex.transaction(work);
    } catch (error) {
      throw translateStoreError(error);
    }
  }

  /** Uses no connection any more that was made before now: they may lead to a server that has lost its part. */
  replaceConnections(): void {
    (this.#knex.client as GuardedPgClient).invalidateAll();
  }

  async close(): Promise<void> {
    await this.#knex.destroy();
  }

  #traced<T>(budget: CallBudget, work: () => Promise<T>): Promise<T> {
    return this.#tracer
      ? this.#tracer.span('database', () => this.#runWithinBudget(budget, work))
      : this.#runWithinBudget(budget, work);
  }

  async #runWithinBudget<T>(budget: CallBudget, work: () => Promise<T>): Promise<T> {
    const { state, role } = this.#circuit ?? {};
    if (state?.isOpen === true && role === 'guarded') {
      throw storeUnavailable(
        'the database has not answered for some time; calls are refused until a probe succeeds',
      );
    }
    const startMs = performance.now();
    try {
      const result = await withinBudget(budget, (isCancelled) =>
        this.#queue.run(isCancelled, () => withRetries(work, budget)),
      );
      state?.recordAnswer();
      return result;
    } catch (error) {
      const isDecision = error instanceof Rejected && error.rejection.kind !== 'store-unavailable';
      if (isDecision || sqlState(error) !== undefined) state?.recordAnswer();
      else if (performance.now() - startMs >= SILENCE_FROM_MS && !budget.signal.aborted)
        state?.recordTimeout();
      throw translateStoreError(error);
    }
  }
}

/** What knex has to say, without its stack and its own words for what happened. */
function poolWarning(message: unknown): string {
  const [line = ''] = String(message).split('\n', 1);
  const [, what, name = '', code = '', text = ''] =
    /^(Acquire connection error|Connection Error): (?:(\w*Error)(?: \[(\w+)\])?: ?)?(.*)$/.exec(line) ?? [];
  if (what === undefined) return line;
  const why = text || code || name;
  return `${what === 'Connection Error' ? 'an idle connection was lost' : 'no connection could be made'}: ${why}`;
}

/** Does the work again after a serialisation failure or a deadlock. */
async function withRetries<T>(work: () => Promise<T>, budget: CallBudget): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isRetryable(error) || attempt === MAX_ATTEMPTS || budget.signal.aborted) throw error;
      await pause(Math.random() * RETRY_JITTER_MS * attempt);
    }
  }
}

/** Gives the caller its answer in time, whether or not the work has ended; the watchdog frees what it holds. */
async function withinBudget<T>(
  budget: CallBudget,
  work: (isCancelled: () => boolean) => Promise<T>,
): Promise<T> {
  if (budget.signal.aborted) throw new Rejected({ kind: 'cancelled' });
  const nowMs = Date.now();
  if (nowMs >= budget.deadlineMs) throw new Rejected({ kind: 'deadline-exceeded' });
  const storeMs = Math.min(STORE_LIMIT_MS, (budget.storeDeadlineMs ?? Infinity) - nowMs);
  if (storeMs <= 0) {
    // Other work has used up what the call has.
    const cause = 'the call had waited too long before it reached the database';
    throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
  }

  let isCancelled = false;
  let rejectEarly: (rejection: Rejected) => void = () => undefined;
  const timedOut = new Promise<never>((_resolve, reject) => {
    rejectEarly = (rejection) => {
      isCancelled = true;
      reject(rejection);
    };
  });
  const limitMs = Math.min(storeMs, budget.deadlineMs - nowMs);
  const cancelTimeout = startIoFairTimeout(limitMs, () =>
    rejectEarly(storeUnavailable('no answer within the time budget')),
  );
  const onAbort = () => rejectEarly(new Rejected({ kind: 'cancelled' }));
  budget.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(() => isCancelled), timedOut]);
  } finally {
    cancelTimeout();
    budget.signal.removeEventListener('abort', onAbort);
  }
}
