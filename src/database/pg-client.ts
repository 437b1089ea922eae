import PgClient from 'knex/lib/dialects/postgres/index.js';

import { withTimeout } from '../domain/timeout.ts';
import { startIoFairTimeout, startBusyTolerantTimeout } from './timeouts.ts';
import { CommitRefused, isStalePreparedStatement, QueryUnanswered } from './pg-errors.ts';
import type { Queryable, PrimaryConnector } from './primary-connector.ts';

/** What the connections of one pool have in common; a transaction's client is another object than its pool's. */
interface PoolState {
  /** Connections made before have no credit: one of them went silent, or its server stopped writing. Monotonic, ms. */
  invalidBeforeMs: number;
}

interface PgConnection extends Queryable {
  __knex__disposed?: unknown;
  unlimited?: boolean;
  pool: PoolState;
  createdAtMs: number;
  connection: { stream: { destroy(): void } };
  end(): Promise<void>;
}

/** Knex's configuration with what this client adds to it. */
export interface GuardedConfig {
  /** How long a query may stay without an answer; at least `statement_timeout`, so that a living server gets to say so. */
  readonly watchdogMs: number;
  /** How long a connection may take to be made, not counting the time in which our own loop was busy. */
  readonly connectMs: number;
  readonly server: PrimaryConnector;
}

interface PgQuery {
  readonly sql: string;
  readonly response?: { readonly command?: string };
}

/** The SQLSTATE of a write on a standby, or on a server that was made read-only. */
const READ_ONLY = '25006';
const LIFTS_LIMIT = /^SET LOCAL statement_timeout = 0/i;
const ENDS_TRANSACTION = /^(COMMIT|ROLLBACK)\b/i;
const COMMITS = /^COMMIT\b/i;
const CLOSE_LIMIT_MS = 500;

/**
 * Knex's PostgreSQL client with a watchdog on every query, BEGIN and COMMIT included. `statement_timeout` is kept by
 * the server, so a server that is frozen or behind a dead network never keeps it; without the watchdog such a query
 * holds its connection for a quarter of an hour. pg's own `query_timeout` leaves the late answer to the next query
 * on the same connection, so the socket is closed instead.
 *
 * What one connection has suffered is taken as a sign for the idle ones that were made before it (D03, D12): they may
 * lead to a server that is gone or a primary that is one no more, and are replaced instead of tried one by one.
 */
export class GuardedPgClient extends PgClient {
  readonly #pool: PoolState = { invalidBeforeMs: -Infinity };

  override async acquireRawConnection(): Promise<unknown> {
    const createdAtMs = performance.now();
    const { server, connectMs } = this.config as GuardedConfig;
    const close = (unwanted: PgConnection) => void this.destroyRawConnection(unwanted);
    const connection = await server.connect((address) => {
      // Read by the base class before it first waits.
      Object.assign(this.connectionSettings, address);
      return connectWithin(connectMs, super.acquireRawConnection() as Promise<PgConnection>, close);
    }, close);
    return Object.assign(connection, { pool: this.#pool, createdAtMs });
  }

  override validateConnection({ pool, createdAtMs }: PgConnection): Promise<boolean> {
    return Promise.resolve(createdAtMs > pool.invalidBeforeMs);
  }

  /** Every connection of the pool is replaced by a new one before its next use. */
  invalidateAll(): void {
    this.#pool.invalidBeforeMs = performance.now();
  }

  /** Says goodbye, which a frozen server never answers, and closes the socket in any case. */
  override async destroyRawConnection(connection: PgConnection): Promise<void> {
    const goodbye = connection.end().catch(() => undefined);
    await withTimeout(goodbye, CLOSE_LIMIT_MS, () => undefined);
    connection.connection.stream.destroy();
  }

  override _query(connection: PgConnection, query: PgQuery): Promise<unknown> {
    const { watchdogMs } = this.config as GuardedConfig;
    // Who lifts the server's own limit, as a migration does for its transaction, lifts this one with it.
    if (LIFTS_LIMIT.test(query.sql)) connection.unlimited = true;
    if (ENDS_TRANSACTION.test(query.sql)) connection.unlimited = false;
    return new Promise((resolve, reject) => {
      const cancelTimeout = startIoFairTimeout(watchdogMs, () => {
        if (connection.unlimited === true) return;
        const error = new QueryUnanswered(watchdogMs);
        invalidate(connection, error);
        connection.connection.stream.destroy();
        reject(error);
      });
      super
        ._query(connection, query)
        .then(
          (answer) => {
            if (COMMITS.test(query.sql) && query.response?.command === 'ROLLBACK') throw new CommitRefused();
            return answer;
          },
          (error: unknown) => {
            if ((error as { code?: unknown }).code === READ_ONLY) invalidate(connection, error);
            // What it believes to be prepared is not: it goes, once it is given back.
            else if (isStalePreparedStatement(error)) connection.__knex__disposed = error;
            throw error;
          },
        )
        .then(resolve, reject)
        .finally(cancelTimeout);
    });
  }
}

function connectWithin<C>(limitMs: number, connecting: Promise<C>, close: (late: C) => void): Promise<C> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const cancelTimeout = startBusyTolerantTimeout(limitMs, () => {
      isLate = true;
      reject(new Error('timeout expired'));
    });
    connecting
      .finally(cancelTimeout)
      .then((connection) => (isLate ? close(connection) : resolve(connection)), reject);
  });
}

function invalidate(connection: PgConnection, cause: unknown): void {
  connection.__knex__disposed = cause;
  connection.pool.invalidBeforeMs = performance.now();
}
