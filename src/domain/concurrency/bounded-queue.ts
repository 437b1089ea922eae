export interface QueueRules<Call> {
  /** Maximum number of running calls. */
  readonly concurrency: number;
  /** The maximum number of waiting calls, and the error that rejects further calls. Absent: any number may wait. */
  readonly waitingLimit?: { readonly max: number; readonly whenFull: () => Error };
  /**
   * Starts to watch a waiting call for a timeout or a cancellation, and returns a function that stops watching. To reject
   * the call before it waits, it throws. To remove it from the queue later, it calls `cancel`, never synchronously.
   */
  readonly watch: (call: Call, cancel: (error: Error) => void) => () => void;
  /** Called when a waiting call is about to start. An error rejects it, and the next call starts instead. */
  readonly recheck?: (call: Call) => Error | undefined;
}

interface Waiter<Call> {
  readonly call: Call;
  readonly start: () => void;
  readonly cancel: (error: Error) => void;
}

/**
 * Limits the number of running calls; the others wait in first-in, first-out order. Cancelling a
 * waiting call takes constant time. A call that does not have to wait allocates no object and no timer.
 */
export class BoundedQueue<Call = void> {
  readonly #rules: QueueRules<Call>;
  readonly #waiting = new Set<Waiter<Call>>();
  #running = 0;
  #ended = 0;
  #whenIdle: (() => void)[] = [];

  constructor(rules: QueueRules<Call>) {
    this.#rules = rules;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Number of calls that have run to their end. */
  get ended(): number {
    return this.#ended;
  }

  /** Starts at once when fewer than `concurrency` calls run. Rejects with an error of the rules or of `work`. */
  async run<T>(work: () => Promise<T>, call: Call): Promise<T> {
    if (this.#running < this.#rules.concurrency) this.#running += 1;
    else await this.#wait(call);
    try {
      return await work();
    } finally {
      this.#startNext();
    }
  }

  /** Rejects all waiting calls, and resolves when no call runs any more. */
  async drain(makeError: () => Error): Promise<void> {
    for (const waiter of this.#waiting) waiter.cancel(makeError());
    if (this.#running > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #wait(call: Call): Promise<void> {
    const { waitingLimit, watch } = this.#rules;
    if (waitingLimit && this.#waiting.size >= waitingLimit.max) throw waitingLimit.whenFull();
    return new Promise((resolve, reject) => {
      const cancel = (error: Error) => {
        this.#waiting.delete(waiter);
        stopWatch();
        reject(error);
      };
      const stopWatch = watch(call, cancel);
      const start = () => {
        stopWatch();
        resolve();
      };
      const waiter = { call, start, cancel };
      this.#waiting.add(waiter);
    });
  }

  /** Invariant: calls wait only while `concurrency` calls run, so each call that ends frees one slot for one waiting call. */
  #startNext(): void {
    this.#running -= 1;
    this.#ended += 1;
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      const error = this.#rules.recheck?.(next.call);
      if (error !== undefined) {
        next.cancel(error);
        continue;
      }
      this.#running += 1;
      next.start();
      return;
    }
    if (this.#running > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
