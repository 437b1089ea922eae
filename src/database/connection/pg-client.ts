import PgClient from 'knex/lib/dialects/postgres/index.js';
import type { Client } from 'pg';

import { withTimeout } from '../../domain/concurrency/timeout.ts';
import { startIoFairTimeout, startBusyTolerantTimeout } from '../timeouts.ts';
import { connectClient, type ConnectOptions } from './connect-client.ts';
import type { DatabaseServer } from './database-address.ts';
import { CommitRefused, isStalePreparedStatement, messageOf, QueryUnanswered } from '../pg-errors.ts';
import type { Queryable, PrimaryConnector } from './primary-connector.ts';

/**
 * State shared by the connections of one pool. It is reached through the connection, since a transaction has a client
 * object of its own.
 */
interface PoolState {
  /** Connections made before this monotonic time, ms, are replaced: one of them timed out or met a read-only server. */
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

/** The fields that this client adds to knex's configuration. */
export interface GuardedConfig {
  /** Time limit of a query; longer than `statement_timeout`, so that a healthy server reports its own timeout first. */
  readonly watchdogMs: number;
  /** Time limit of a connection attempt, not counting the time in which our event loop was busy. */
  readonly connectMs: number;
  readonly connector: PrimaryConnector<DatabaseServer>;
  readonly connect: ConnectOptions;
}

interface PgQuery {
  readonly sql: string;
  readonly bindings?: readonly unknown[];
  readonly options?: { readonly name: string };
  readonly response?: { readonly command?: string; readonly rows?: unknown[] };
}

/** The SQLSTATE of a write on a standby, or on a server that was made read-only. */
const READ_ONLY = '25006';
const DISABLES_TIMEOUT = /^SET LOCAL statement_timeout = 0/i;
const ENDS_TRANSACTION = /^(COMMIT|ROLLBACK)\b/i;
const COMMITS = /^COMMIT\b/i;
const CLOSE_LIMIT_MS = 500;

/**
 * Knex's PostgreSQL client with a watchdog on every query, BEGIN and COMMIT included. The server enforces
 * `statement_timeout`, so it does not help when the server is frozen or the network is dead; without the watchdog such
 * a query holds its connection for a quarter of an hour. pg's own `query_timeout` keeps the connection, where the late
 * answer is then read by the next query, so the watchdog closes the socket instead.
 *
 * When a query times out or meets a read-only server, all older connections of the pool are replaced before their next
 * use (D03, D12): their server may be gone or no longer the primary, and trying them one by one would cost a timeout
 * each.
 */
export class GuardedPgClient extends PgClient {
  readonly #pool: PoolState = { invalidBeforeMs: -Infinity };

  override async acquireRawConnection(): Promise<unknown> {
    const createdAtMs = performance.now();
    const { connector, connectMs, connect } = this.config as GuardedConfig;
    const close = (unwanted: PgConnection) => void this.destroyRawConnection(unwanted);
    const connection = await connector.connect((server) => {
      const connecting = connectClient(server, { ...connect, prepare: disposeWhenLost });
      return connectWithin(connectMs, connecting as Promise<unknown> as Promise<PgConnection>, close);
    }, close);
    return Object.assign(connection, { pool: this.#pool, createdAtMs });
  }

  override validateConnection({ pool, createdAtMs }: PgConnection): Promise<boolean> {
    return Promise.resolve(createdAtMs > pool.invalidBeforeMs);
  }

  /** Has every existing connection of the pool replaced before its next use. */
  invalidateAll(): void {
    this.#pool.invalidBeforeMs = performance.now();
  }

  /** Terminates the session, and closes the socket in any case: a frozen server does not answer. */
  override async destroyRawConnection(connection: PgConnection): Promise<void> {
    const ending = connection.end().catch(() => undefined);
    await withTimeout(ending, CLOSE_LIMIT_MS, () => undefined);
    connection.connection.stream.destroy();
  }

  /** Runs a query with the watchdog and returns its rows. */
  async rowsOf<Row>(connection: unknown, query: PgQuery): Promise<Row[]> {
    const { response } = (await this._query(connection as PgConnection, query)) as PgQuery;
    return (response?.rows ?? []) as Row[];
  }

  override _query(connection: PgConnection, query: PgQuery): Promise<unknown> {
    const { watchdogMs, connector } = this.config as GuardedConfig;
    // A transaction that disables `statement_timeout`, as a migration does, disables the watchdog as well.
    if (DISABLES_TIMEOUT.test(query.sql)) connection.unlimited = true;
    if (ENDS_TRANSACTION.test(query.sql)) connection.unlimited = false;
    return new Promise((resolve, reject) => {
      const cancelTimeout = startIoFairTimeout(watchdogMs, () => {
        if (connection.unlimited === true) return;
        const error = new QueryUnanswered(watchdogMs);
        invalidate(connection, error);
        connector.doubt(connection);
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
            // Its list of prepared statements is wrong, so the pool closes it when it is released.
            else if (isStalePreparedStatement(error)) connection.__knex__disposed = messageOf(error);
            throw error;
          },
        )
        .then(resolve, reject)
        .finally(cancelTimeout);
    });
  }
}

/** The pool replaces a connection with this mark, as knex's own client sets it. */
function disposeWhenLost(client: Client): void {
  const connection = client as unknown as { __knex__disposed?: unknown };
  client.on('error', (error) => (connection.__knex__disposed = error));
  client.on('end', () => (connection.__knex__disposed = 'Connection ended unexpectedly'));
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
  // Knex logs it: the message alone, because an error of knex has the statement before its message.
  connection.__knex__disposed = messageOf(cause);
  connection.pool.invalidBeforeMs = performance.now();
}
