import { Rejected } from '../domain/rejection.ts';
import { startBusyTolerantTimeout } from './timeouts.ts';
import { storeUnavailable } from './pg-errors.ts';

const RETRY_AFTER_MS = 1_000;

interface Waiting {
  readonly isOver: () => boolean;
  readonly go: () => void;
  readonly leave: () => void;
}

/**
 * Stands before knex's pool, whose own queue cannot be left: there a call that was cancelled would still be served, and
 * whoever comes after a crowd that has gone would wait for all of it. First come, first served.
 */
export class ConnectionQueue {
  readonly #width: number;
  readonly #maxWaitMs: number;
  readonly #waiting = new Set<Waiting>();
  #running = 0;
  /** When a piece of work last ended, monotonic: while some do, a long wait is our crowd's doing, not the database's. */
  #lastEndMs = -Infinity;

  /** @param width how many pieces of work run at once: as many as there are connections */
  constructor(width: number, maxWaitMs: number) {
    this.#width = width;
    this.#maxWaitMs = maxWaitMs;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * @param isOver whether nobody waits for the answer any more: such work is not begun
   * @throws Rejected `server-overloaded` when the turn does not come in time, `store-unavailable` when no turn ended
   *   in that time, `cancelled` when it was over by then
   */
  async run<T>(isOver: () => boolean, work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#width) await this.#wait(isOver);
    else this.#running += 1;
    try {
      return await work();
    } finally {
      this.#handOver();
    }
  }

  #wait(isOver: () => boolean): Promise<void> {
    const sinceMs = performance.now();
    return new Promise((resolve, reject) => {
      const callOff = startBusyTolerantTimeout(this.#maxWaitMs, () => {
        this.#waiting.delete(waiting);
        reject(this.#lastEndMs > sinceMs ? crowded() : silent());
      });
      const waiting: Waiting = {
        isOver,
        go: () => {
          callOff();
          resolve();
        },
        leave: () => {
          callOff();
          reject(new Rejected({ kind: 'cancelled' }));
        },
      };
      this.#waiting.add(waiting);
    });
  }

  /** Whoever ends hands its place over, so `running` stays as it is while somebody takes it. */
  #handOver(): void {
    this.#lastEndMs = performance.now();
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      if (next.isOver()) {
        next.leave();
        continue;
      }
      next.go();
      return;
    }
    this.#running -= 1;
  }
}

function crowded(): Rejected {
  const cause = 'too many calls wait for a database connection';
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
}

function silent(): Rejected {
  return storeUnavailable('every database connection is in use, and none became free in time');
}
