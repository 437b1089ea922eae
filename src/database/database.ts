import { AsyncResource } from 'node:async_hooks';
import { setTimeout as pause } from 'node:timers/promises';

import knex, { type Knex } from 'knex';

import type { CallBudget } from '../domain/operation-call.ts';
import { Rejected, RETRY_AFTER_MS } from '../domain/rejection.ts';
import type { Tracer } from '../domain/tracer.ts';
import { type DatabaseAddress, serversOf } from './connection/database-address.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import { ConnectionQueue } from './connection/connection-queue.ts';
import {
  ANSWER_MARGIN_MS,
  CONNECT_LIMIT_MS,
  CONNECT_TIMEOUT_MS,
  IDLE_IN_TRANSACTION_TIMEOUT_MS,
  LOCK_TIMEOUT_MS,
  QUEUE_WAIT_MS,
  STATEMENT_TIMEOUT_MS,
  STORE_USE_LIMIT_MS,
  TIMEOUT_THRESHOLD_MS,
  WATCHDOG_MS,
} from './time-limits.ts';
import { startIoFairTimeout } from './timeouts.ts';
import { translateStoreError } from './database-fault.ts';
import { isRetryable, sqlState, storeUnavailable } from './pg-errors.ts';
import { type GuardedConfig, GuardedPgClient } from './connection/pg-client.ts';
import { PrimaryConnector } from './connection/primary-connector.ts';

const MAX_ATTEMPTS = 3;
const RETRY_JITTER_MS = 20;

/** The transaction that a query function runs in. */
export type Transaction = Knex.Transaction;

export interface DatabaseOptions {
  readonly address: DatabaseAddress;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly maxConnections: number;
  /** Called for each connection that was lost or could not be made. The pool replaces it by itself. */
  readonly warn: (message: string) => void;
  /**
   * The service's circuit breaker. While it is open, a `guarded` pool refuses calls at once, and a `probing` pool keeps
   * asking, so that the circuit can close.
   */
  readonly circuit?: { readonly state: CircuitBreaker; readonly role: 'guarded' | 'probing' };
  readonly tracer?: Tracer | undefined;
  /** Settings of each session, beyond those that every connection pins. */
  readonly session?: Readonly<Record<string, string>>;
  /** After so long without an answer to a query, its connection is closed. */
  readonly watchdogMs?: number;
}

/** A statement that each connection prepares once. */
export interface PreparedStatement {
  /** Unique to the text. */
  readonly name: string;
  /** With `$1`, `$2` and so on. */
  readonly text: string;
  readonly values: readonly unknown[];
}

/** The counters of knex's pool. The pool is undefined after `close`. */
interface Pool {
  numUsed(): number;
  numFree(): number;
  numPendingAcquires(): number;
}

/**
 * A pool of connections to PostgreSQL. Every use is bounded by the budget of its call. When the budget is exhausted or
 * the database fails, it throws `Rejected` `store-unavailable`, `server-overloaded`, `deadline-exceeded` or
 * `cancelled`. Work that timed out here may still commit, so every operation must be safe to repeat.
 */
export class Database {
  readonly maxConnections: number;
  readonly #knex: Knex;
  readonly #queue: ConnectionQueue;
  readonly #circuit: DatabaseOptions['circuit'];
  readonly #tracer: Tracer | undefined;
  /** What the spans of this database have in common. */
  readonly #spanAttributes: Readonly<Record<string, string>>;
  /** Otherwise work for several calls would be traced as a part of the one that happened to start it. */
  readonly #noCall = new AsyncResource('PosternSharedWork');

  constructor(options: DatabaseOptions) {
    this.maxConnections = options.maxConnections;
    this.#queue = new ConnectionQueue(options.maxConnections, QUEUE_WAIT_MS);
    this.#circuit = options.circuit;
    this.#tracer = options.tracer;
    const { database } = serversOf(options.address)[0].config;
    this.#spanAttributes = database === undefined ? {} : { 'db.namespace': database };
    const guardedConfig: GuardedConfig = {
      watchdogMs: options.watchdogMs ?? WATCHDOG_MS,
      connectMs: CONNECT_TIMEOUT_MS,
      connector: new PrimaryConnector(serversOf(options.address)),
      connect: {
        applicationName: options.applicationName,
        limitMs: CONNECT_LIMIT_MS,
        session: {
          statement_timeout: String(STATEMENT_TIMEOUT_MS),
          lock_timeout: String(LOCK_TIMEOUT_MS),
          idle_in_transaction_session_timeout: String(IDLE_IN_TRANSACTION_TIMEOUT_MS),
          ...options.session,
        },
      },
    };
    this.#knex = knex({
      ...guardedConfig,
      client: GuardedPgClient,
      // Otherwise error messages contain the statement's values, and a password hash could reach the log (O01).
      compileSqlOnError: false,
      // Saves a `select version()` before the pool's first query.
      version: '18',
      // `connect` has what is needed; without this, knex has no pool.
      connection: {},
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

  /** The current number of connections in use and idle, and of calls that wait for one. */
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
   * Runs statements outside a transaction: each commits by itself. After a serialisation failure or deadlock the work
   * is run again, as in `transaction`.
   */
  run<T>(budget: CallBudget, work: (db: Knex) => PromiseLike<T>): Promise<T> {
    return this.#traced(budget, null, async () => work(this.#knex));
  }

  /**
   * Runs work in one transaction. It is committed when the promise resolves, and rolled back when it rejects, except
   * with `store-unavailable` or `cancelled`, where the outcome is unknown. After a serialisation failure or deadlock
   * the work is run again, at most three times in all (then `conflict`), so it must have no effects outside the
   * database.
   */
  transaction<T>(budget: CallBudget, work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
    return this.#traced(budget, { 'db.operation.name': 'TRANSACTION' }, () => this.#knex.transaction(work));
  }

  /**
   * Runs one prepared statement as `run` does, without Knex's builder, which takes more CPU time than a short statement
   * itself.
   */
  query<Row>(budget: CallBudget, statement: PreparedStatement): Promise<Row[]> {
    const { name, text, values } = statement;
    const client = this.#knex.client as GuardedPgClient;
    return this.#traced(budget, statementAttributes(name, text), async () => {
      const connection: unknown = await client.acquireConnection();
      try {
        return await client.rowsOf<Row>(connection, { sql: text, bindings: values, options: { name } });
      } finally {
        await client.releaseConnection(connection);
      }
    });
  }

  /**
   * Waits within a call's budget for work that serves several calls at once and has a budget of its own. The span of the call
   * is that of its wait; the work belongs to no call.
   *
   * @param work gets a function that says whether the call has given up
   */
  waitFor<T>(budget: CallBudget, work: (isCancelled: () => boolean) => Promise<T>): Promise<T> {
    const waiting = () =>
      withinBudget(budget, (isCancelled) => this.#noCall.runInAsyncScope(work, null, isCancelled));
    return this.#tracer ? this.#tracer.span('database', waiting, this.#spanAttributes) : waiting();
  }

  /** Runs long work, such as a migration, in one transaction and without a budget. */
  async unlimited<T>(work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
    try {
      return await this.#knex.transaction(work);
    } catch (error) {
      throw translateStoreError(error);
    }
  }

  /** Replaces every existing connection before its next use: its server may no longer be the primary. */
  replaceConnections(): void {
    (this.#knex.client as GuardedPgClient).invalidateAll();
  }

  async close(): Promise<void> {
    await this.#knex.destroy();
  }

  #traced<T>(
    budget: CallBudget,
    attributes: Readonly<Record<string, string>> | null,
    work: () => Promise<T>,
  ): Promise<T> {
    return this.#tracer
      ? this.#tracer.span('database', () => this.#runWithinBudget(budget, work), {
          ...this.#spanAttributes,
          ...attributes,
        })
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
      const isRejection = error instanceof Rejected && error.rejection.kind !== 'store-unavailable';
      if (isRejection || sqlState(error) !== undefined) state?.recordAnswer();
      else if (performance.now() - startMs >= TIMEOUT_THRESHOLD_MS && !budget.signal.aborted)
        state?.recordTimeout();
      throw translateStoreError(error);
    }
  }
}

/** Rewrites a warning of knex's pool: one line, without the stack and with a clearer description. */
function poolWarning(message: unknown): string {
  const [line = ''] = String(message).split('\n', 1);
  const [, prefix, name = '', code = '', text = ''] =
    /^(Acquire connection error|Connection Error): (?:(\w*Error)(?: \[(\w+)\])?: ?)?(.*)$/.exec(line) ?? [];
  if (prefix === undefined) return line;
  const description =
    prefix === 'Connection Error' ? 'an idle connection was lost' : 'no connection could be made';
  return `${description}: ${text || code || name}`;
}

/** Runs the work again after a serialisation failure or deadlock, at most `MAX_ATTEMPTS` times in all. */
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

/** Settles within the budget, even when the work has not ended. The watchdog then frees the work's connection. */
async function withinBudget<T>(
  budget: CallBudget,
  work: (isCancelled: () => boolean) => Promise<T>,
): Promise<T> {
  if (budget.signal.aborted) throw new Rejected({ kind: 'cancelled' });
  const nowMs = Date.now();
  if (nowMs >= budget.deadlineMs) throw new Rejected({ kind: 'deadline-exceeded' });
  const storeMs = Math.min(STORE_USE_LIMIT_MS, (budget.storeDeadlineMs ?? Infinity) - nowMs);
  if (storeMs <= 0) {
    // The call's earlier work, such as hashing, has used up its budget for the database.
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
  const leftMs = budget.deadlineMs - nowMs;
  const limitMs = Math.min(storeMs, leftMs - Math.min(ANSWER_MARGIN_MS, leftMs / 2));
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

/** What a span says of a prepared statement: its name and its first word, never a value. */
function statementAttributes(name: string, text: string): Readonly<Record<string, string>> {
  const [operation = ''] = /^[A-Za-z]+/.exec(text.trimStart()) ?? [];
  return { 'db.query.summary': name, 'db.operation.name': operation.toUpperCase() };
}
