export interface QueueRules<Call> {
  /** How many calls run at once. */
  readonly width: number;
  /** How many may wait; who comes on top is refused with `whenFull`. */
  readonly maxWaiting: number;
  readonly whenFull: () => Error;
  /**
   * Watches a call that waits, for a time that is up or a caller who has gone, and returns what ends the watch. It may
   * throw, which refuses the call before it waits, but calls `leave` only later.
   */
  readonly watch: (call: Call, leave: (why: Error) => void) => () => void;
  /** Asked of a call whose turn has come: an error refuses it, and the next one has the turn. */
  readonly whyNotNow?: (call: Call) => Error | undefined;
}

interface Waiter<Call> {
  readonly call: Call;
  readonly start: () => void;
  readonly leave: (why: Error) => void;
}

/**
 * Lets a few calls run at once and has the others wait, first come, first served. The queue is bounded, and whoever
 * leaves it does so at once, whatever its length. A call that need not wait costs no object and no timer.
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

  /** How many have run and ended. */
  get ended(): number {
    return this.#ended;
  }

  /** Begins at once when fewer than `width` run. Rejects as the rules say, or as `work` does. */
  async run<T>(work: () => Promise<T>, call: Call): Promise<T> {
    if (this.#running < this.#rules.width) this.#running += 1;
    else await this.#wait(call);
    try {
      return await work();
    } finally {
      this.#handOver();
    }
  }

  /** Refuses all who wait, and resolves when nothing runs any more. */
  async drain(why: () => Error): Promise<void> {
    for (const waiter of this.#waiting) waiter.leave(why());
    if (this.#running > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #wait(call: Call): Promise<void> {
    const { maxWaiting, whenFull, watch } = this.#rules;
    if (this.#waiting.size >= maxWaiting) throw whenFull();
    return new Promise((resolve, reject) => {
      const leave = (why: Error) => {
        this.#waiting.delete(waiter);
        stopWatch();
        reject(why);
      };
      const stopWatch = watch(call, leave);
      const start = () => {
        stopWatch();
        resolve();
      };
      const waiter = { call, start, leave };
      this.#waiting.add(waiter);
    });
  }

  /** Invariant: something waits only while `width` run, so that one place is free and one call takes it. */
  #handOver(): void {
    this.#running -= 1;
    this.#ended += 1;
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      const refusal = this.#rules.whyNotNow?.(next.call);
      if (refusal !== undefined) {
        next.leave(refusal);
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
