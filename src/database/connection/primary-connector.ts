import { withTimeout } from '../../domain/concurrency/timeout.ts';
import { messageOf } from '../pg-errors.ts';

/** After so long without an answer from the last primary, the other servers are tried as well. */
const HEAD_START_MS = 250;
const ATTEMPT_LIMIT_MS = 1_000;
const RECHECK_INTERVAL_MS = 100;

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
 *
 * A read-only server is asked again while another has not answered: the last primary may be frozen, and this standby
 * its successor in a moment.
 */
export class PrimaryConnector<Server> {
  readonly #servers: readonly [Server, ...Server[]];
  #primaryIndex = 0;
  #isDoubted = false;
  /** Which server a connection leads to. */
  readonly #indexes = new WeakMap<Queryable, number>();

  constructor(servers: readonly [Server, ...Server[]]) {
    this.#servers = servers;
  }

  /**
   * A connection has left a query unanswered. If it leads to the primary, that one is tried after the others for the next
   * connection: a primary that was replaced and does not know it still says that it accepts writes, but no standby
   * confirms them.
   */
  doubt(connection: Queryable): void {
    if (this.#indexes.get(connection) === this.#primaryIndex) this.#isDoubted = true;
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
      const others = [...this.#servers.keys()].filter((index) => index !== this.#primaryIndex);
      const [first, later] = this.#isDoubted
        ? [others, [this.#primaryIndex]]
        : [[this.#primaryIndex], others];
      const faults: unknown[] = [];
      let failed = 0;
      let unanswered = 0;
      let settled = false;
      const tryLater = () => {
        clearTimeout(headStart);
        tryAll(later.splice(0));
      };
      const tryAll = (indexes: readonly number[]) => {
        unanswered += indexes.length;
        for (const index of indexes) void attempt(index);
      };
      const onAnswer = () => {
        unanswered -= 1;
        if (unanswered === 0 && !settled) tryLater();
      };
      const attempt = async (index: number) => {
        let hasAnswered = false;
        const onFirstAnswer = () => {
          if (!hasAnswered) onAnswer();
          hasAnswered = true;
        };
        let connection: C | undefined;
        try {
          connection = await open(this.#servers[index] ?? this.#servers[0]);
          while (!(await acceptsWrites(connection))) {
            onFirstAnswer();
            if (settled || unanswered === 0) throw new ServerReadOnly();
            await new Promise((resume) => setTimeout(resume, RECHECK_INTERVAL_MS));
          }
          if (settled) {
            close(connection);
            return;
          }
          settled = true;
          clearTimeout(headStart);
          this.#primaryIndex = index;
          this.#indexes.set(connection, index);
          this.#isDoubted = false;
          resolve(connection);
        } catch (error) {
          if (connection !== undefined) close(connection);
          faults[index] = error;
          failed += 1;
          onFirstAnswer();
          if (failed === this.#servers.length)
            reject(new AggregateError(faults, faults.map(messageOf).join('; ')));
        }
      };
      const headStart = setTimeout(tryLater, HEAD_START_MS);
      tryAll(first);
    });
  }
}

/** @throws when the server does not answer in time */
async function acceptsWrites(connection: Queryable): Promise<boolean> {
  const query = connection.query('SHOW transaction_read_only');
  const { rows } = await withTimeout(query, ATTEMPT_LIMIT_MS, () => {
    throw new Error('timeout expired');
  });
  return rows[0]?.transaction_read_only === 'off';
}
