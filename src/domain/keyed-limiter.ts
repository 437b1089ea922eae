import { BoundedQueue, type QueueRules } from './bounded-queue.ts';
import { Rejected, RETRY_AFTER_MS } from './rejection.ts';

export interface KeyedLimits {
  /** How many calls with one key may run at once. */
  readonly concurrency: number;
  /** How many may wait; fifty tabs that wake at once are honest, ten times as many are a fault. */
  readonly maxWaiting: number;
  /** Who waits longer behind the others is refused. */
  readonly maxWaitMs: number;
}

/**
 * A `BoundedQueue` for each key: a few calls with the same key run and the others wait, where waiting costs nothing,
 * neither a database connection nor a place in a counter (S09). Calls with different keys do not wait for each other. Use
 * only keys that an unauthenticated caller cannot choose for somebody else: otherwise one caller could fill another's queue.
 */
export class KeyedLimiter {
  readonly #rules: QueueRules<void>;
  readonly #queues = new Map<string, BoundedQueue>();

  constructor({ concurrency, maxWaiting, maxWaitMs }: KeyedLimits) {
    this.#rules = {
      width: concurrency,
      maxWaiting,
      whenFull: () => overloaded('too many calls for the same user or session'),
      watch: (_call, leave) => {
        const isLate = () => leave(overloaded('other calls for the same user or session take too long'));
        const timer = setTimeout(isLate, maxWaitMs);
        return () => clearTimeout(timer);
      },
    };
  }

  /** @throws Rejected `server-overloaded` when too many wait with the same key, or the turn does not come in time */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? new BoundedQueue(this.#rules);
    this.#queues.set(key, queue);
    try {
      return await queue.run(work);
    } finally {
      // Whoever was refused comes here late, and by then another queue may stand under the key.
      if (queue.running === 0 && this.#queues.get(key) === queue) this.#queues.delete(key);
    }
  }
}

function overloaded(cause: string): Rejected {
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
}
