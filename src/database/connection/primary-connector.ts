import { withTimeout } from '../../domain/concurrency/timeout.ts';
import { messageOf } from '../pg-errors.ts';

/** After so long without an answer from the last primary, the other servers are tried as well. */
const HEAD_START_MS = 250;
const ATTEMPT_LIMIT_MS = 1_000;

/** The server was reached but is read-only: a standby, or a primary that was demoted. */
class ServerReadOnly extends Error {
  /** The SQLSTATE of a write on such a server. */
  readonly code = '25006';
  constructor() {
    super('the server is read-only');
    this.name = 'ServerReadOnly';
  }
}

/** The part of a connection that is needed to check whether its server accepts writes. */
export interface Queryable {
  query(sql: string): Promise<{ rows: { transaction_read_only: string }[] }>;
}

/**
 * Connects to the server that accepts writes, checked at every connection (as libpq's
 * `target_session_attrs=read-write`). The last primary is tried first, then all others at once, so a server that is
 * frozen or unreachable delays the connection only by `HEAD_START_MS`. A single server is not checked.
 */
export class PrimaryConnector<Server> {
  readonly #servers: readonly [Server, ...Server[]];
  #primaryIndex = 0;

  constructor(servers: readonly [Server, ...Server[]]) {
    this.#servers = servers;
  }

  /**
   * @param open opens a connection to one of the servers
   * @param close closes a connection that `open` returned
   * @throws the error of a single server, or an AggregateError with the errors of all servers
   */
  connect<C extends Queryable>(
    open: (server: Server) => Promise<C>,
    close: (connection: C) => void,
  ): Promise<C> {
    if (this.#servers.length === 1) return open(this.#servers[0]);
    return new Promise<C>((resolve, reject) => {
      const remaining = this.#servers
        .map((_server, index) => index)
        .filter((index) => index !== this.#primaryIndex);
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
          this.#primaryIndex = index;
          resolve(connection);
        } catch (error) {
          faults.push(error);
          if (!settled) connectToOthers();
          if (faults.length === this.#servers.length)
            reject(new AggregateError(faults, faults.map(messageOf).join('; ')));
        }
      };
      const headStart = setTimeout(connectToOthers, HEAD_START_MS);
      void attempt(this.#primaryIndex);
    });
  }
}

/**
 * Resolves with the connection when its server confirms in time that it accepts writes; otherwise closes it and throws.
 */
async function requireWritable<C extends Queryable>(
  connecting: Promise<C>,
  close: (connection: C) => void,
): Promise<C> {
  const connection = await connecting;
  try {
    const query = connection.query('SHOW transaction_read_only');
    const { rows } = await withTimeout(query, ATTEMPT_LIMIT_MS, () => {
      throw new Error('timeout expired');
    });
    if (rows[0]?.transaction_read_only !== 'off') throw new ServerReadOnly();
    return connection;
  } catch (error) {
    close(connection);
    throw error;
  }
}
