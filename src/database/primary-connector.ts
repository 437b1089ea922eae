import type { ClientConfig } from 'pg';

import { withTimeout } from '../domain/timeout.ts';
import { messageOf } from './pg-errors.ts';

/** The server that wrote the last time answers within this, or the others are asked as well. */
const HEAD_START_MS = 250;
const ATTEMPT_LIMIT_MS = 1_000;

/** A server was reached and does not write: a standby, or a primary that was told to stop. */
class ServerReadOnly extends Error {
  /** The SQLSTATE that a write would have met. */
  readonly code = '25006';
  constructor() {
    super('the server is read-only');
    this.name = 'ServerReadOnly';
  }
}

/** What is needed of a connection to find out whether its server writes. */
export interface Queryable {
  query(sql: string): Promise<{ rows: { transaction_read_only: string }[] }>;
}

/**
 * Of several servers the one that writes, asked anew at every connection (libpq's `target_session_attrs=read-write`).
 * Servers that are frozen or gone without a word delay it by a moment only: whoever wrote the last time is asked first,
 * then all at once. Of one server alone nothing is asked.
 */
export class PrimaryConnector {
  readonly #servers: readonly [ClientConfig, ...ClientConfig[]];
  #last = 0;

  constructor(servers: readonly [ClientConfig, ...ClientConfig[]]) {
    this.#servers = servers;
  }

  /**
   * @param open makes a connection to one of the servers
   * @param close gives up a connection that `open` made
   * @throws the fault of the one server, or an AggregateError with those of all
   */
  connect<C extends Queryable>(
    open: (server: ClientConfig) => Promise<C>,
    close: (connection: C) => void,
  ): Promise<C> {
    if (this.#servers.length === 1) return open(this.#servers[0]);
    return new Promise<C>((resolve, reject) => {
      const remaining = this.#servers.map((_server, index) => index).filter((index) => index !== this.#last);
      const faults: unknown[] = [];
      let settled = false;
      const connectToOthers = () => {
        clearTimeout(headStart);
        for (const index of remaining.splice(0)) void attempt(index);
      };
      const attempt = async (index: number) => {
        try {
          const connection = await requireWritable(open(this.#servers[index] ?? this.#servers[0]), close);
          if (settled) {
            close(connection);
            return;
          }
          settled = true;
          clearTimeout(headStart);
          this.#last = index;
          resolve(connection);
        } catch (error) {
          faults.push(error);
          if (!settled) connectToOthers();
          if (faults.length === this.#servers.length)
            reject(new AggregateError(faults, faults.map(messageOf).join('; ')));
        }
      };
      const headStart = setTimeout(connectToOthers, HEAD_START_MS);
      void attempt(this.#last);
    });
  }
}

/** The connection when its server says in time that it writes; otherwise it is closed. */
async function requireWritable<C extends Queryable>(
  connecting: Promise<C>,
  close: (connection: C) => void,
): Promise<C> {
  const connection = await connecting;
  try {
    const asked = connection.query('SHOW transaction_read_only');
    const { rows } = await withTimeout(asked, ATTEMPT_LIMIT_MS, () => {
      throw new Error('timeout expired');
    });
    if (rows[0]?.transaction_read_only !== 'off') throw new ServerReadOnly();
    return connection;
  } catch (error) {
    close(connection);
    throw error;
  }
}
