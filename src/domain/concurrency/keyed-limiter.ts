import { BoundedQueue, type QueueRules } from './bounded-queue.ts';
import { Rejected, RETRY_AFTER_MS } from '../rejection.ts';

export interface KeyedLimits {
  /** Maximum number of running calls with the same key. */
  readonly concurrency: number;
  /** Maximum number of waiting calls with the same key. Fifty browser tabs that wake at once are legitimate; 500 are a fault. */
  readonly maxWaiting: number;
  /** A call that waits longer is refused. */
  readonly maxWaitMs: number;
}

/**
 * A `BoundedQueue` for each key. A waiting call holds no database connection and is not counted by a throttle yet (S09).
 * Calls with different keys do not wait for each other. Use only keys that an unauthenticated caller cannot choose for
 * somebody else: otherwise one caller could fill another's queue.
 */
export class KeyedLimiter {
  readonly #rules: QueueRules<void>;
  readonly #queues = new Map<string, BoundedQueue>();

  constructor({ concurrency, maxWaiting, maxWaitMs }: KeyedLimits) {
    this.#rules = {
      concurrency,
      waitingLimit: {
        max: maxWaiting,
        whenFull: () => overloaded('too many calls for the same user, session or source'),
      },
      watch: (_call, cancel) => {
        const onTimeout = () =>
          cancel(overloaded('the call waited too long for other calls of the same user, session or source'));
        const timer = setTimeout(onTimeout, maxWaitMs);
        return () => clearTimeout(timer);
      },
    };
  }

  /** @throws Rejected `server-overloaded` when too many calls wait with the same key, or the wait takes too long */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? new BoundedQueue(this.#rules);
    this.#queues.set(key, queue);
    try {
      return await queue.run(work);
    } finally {
      // A refused call arrives here late; by then the key may have a new queue.
      if (queue.running === 0 && this.#queues.get(key) === queue) this.#queues.delete(key);
    }
  }
}

function overloaded(cause: string): Rejected {
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
}
