import { BoundedQueue } from '../../domain/concurrency/bounded-queue.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { startBusyTolerantTimeout } from '../timeouts.ts';
import { storeUnavailable } from '../pg-errors.ts';

/**
 * A FIFO queue in front of knex's pool, with a limit on the waiting time. The pool's own queue has no cancellation: it
 * would still run calls that were cancelled, and new calls would wait behind all of them.
 */
export class ConnectionQueue {
  readonly #queue: BoundedQueue<() => boolean>;
  readonly #maxWaitMs: number;

  /** @param concurrency the number of connections in the pool */
  constructor(concurrency: number, maxWaitMs: number) {
    this.#maxWaitMs = maxWaitMs;
    this.#queue = new BoundedQueue({
      concurrency,
      // Without a limit on the number: the limit on the waiting time bounds the queue.
      watch: (_isCancelled, cancel) => this.#watch(cancel),
      recheck: (isCancelled) => (isCancelled() ? new Rejected({ kind: 'cancelled' }) : undefined),
    });
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  /**
   * @param isCancelled whether the caller has given up; such work is not started
   * @throws Rejected `server-overloaded` after `maxWaitMs` in the queue, `store-unavailable` when no other work ended
   *   in that time either, `cancelled` when the caller had given up before the work could start
   */
  run<T>(isCancelled: () => boolean, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work, isCancelled);
  }

  /** If other work has ended meanwhile, the wait is due to load, not to the database. */
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
