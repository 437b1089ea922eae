import { BoundedQueue } from '../domain/bounded-queue.ts';
import { Rejected, RETRY_AFTER_MS } from '../domain/rejection.ts';
import { startBusyTolerantTimeout } from './timeouts.ts';
import { storeUnavailable } from './pg-errors.ts';

/**
 * Stands before knex's pool, whose own queue cannot be left: there a call that was cancelled would still be served, and
 * whoever comes after a crowd that has gone would wait for all of it. First come, first served, and bounded by time.
 */
export class ConnectionQueue {
  readonly #queue: BoundedQueue<() => boolean>;
  readonly #maxWaitMs: number;

  /** @param concurrency how many pieces of work run at once: as many as there are connections */
  constructor(concurrency: number, maxWaitMs: number) {
    this.#maxWaitMs = maxWaitMs;
    this.#queue = new BoundedQueue({
      concurrency,
      maxWaiting: Infinity,
      whenFull: queueTimeout,
      watch: (_isOver, cancel) => this.#watch(cancel),
      recheck: (isCancelled) => (isCancelled() ? new Rejected({ kind: 'cancelled' }) : undefined),
    });
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  /**
   * @param isCancelled whether nobody waits for the answer any more: such work is not begun
   * @throws Rejected `server-overloaded` when the turn does not come in time, `store-unavailable` when no turn ended
   *   in that time, `cancelled` when it was over by then
   */
  run<T>(isCancelled: () => boolean, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work, isCancelled);
  }

  /** While some work ends, a long wait is our crowd's doing, not the database's. */
  #watch(cancel: (why: Error) => void): () => void {
    const { ended } = this.#queue;
    return startBusyTolerantTimeout(this.#maxWaitMs, () =>
      cancel(this.#queue.ended > ended ? queueTimeout() : noFreeConnection()),
    );
  }
}

function queueTimeout(): Rejected {
  const cause = 'too many calls wait for a database connection';
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
}

function noFreeConnection(): Rejected {
  return storeUnavailable('every database connection is in use, and none became free in time');
}
