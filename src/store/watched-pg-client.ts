import PgClient from 'knex/lib/dialects/postgres/index.js';

/** Rejects a query whose answer did not come; the connection it ran on is closed for good. */
export class QueryUnanswered extends Error {
  constructor(afterMs: number) {
    super(`the database did not answer within ${afterMs} ms`);
    this.name = 'QueryUnanswered';
  }
}

interface PgConnection {
  __knex__disposed?: unknown;
  connection: { stream: { destroy(): void } };
}

/** Longer than `statement_timeout`, so that a living server gets to say so itself. */
export const QUERY_WATCHDOG_MS = 2_250;

/**
 * Knex's PostgreSQL client with a watchdog on every query, BEGIN and COMMIT included. `statement_timeout` is kept by
 * the server, so a server that is frozen or behind a dead network never keeps it; without the watchdog such a query
 * holds its connection for a quarter of an hour. pg's own `query_timeout` leaves the late answer to the next query
 * on the same connection, so the socket is closed instead.
 */
export class WatchedPgClient extends PgClient {
  override _query(connection: PgConnection, query: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const watchdog = setTimeout(() => {
        const error = new QueryUnanswered(QUERY_WATCHDOG_MS);
        connection.__knex__disposed = error;
        connection.connection.stream.destroy();
        reject(error);
      }, QUERY_WATCHDOG_MS);
      super
        ._query(connection, query)
        .then(resolve, reject)
        .finally(() => {
          clearTimeout(watchdog);
        });
    });
  }
}
