export interface BackoffOptions {
  /** The first delay; every further one is twice the one before it. */
  readonly firstMs: number;
  /** No delay is longer. */
  readonly maxMs: number;
  /** The first attempt after `reset` follows at once, and `firstMs` comes after that. */
  readonly startsAtOnce?: boolean;
  /**
   * The share of each delay that is random, 0 to 1, so that many who lost the same server do not come back in one instant:
   * 0.5 waits between half of the delay and all of it. Without one nothing is random.
   */
  readonly jitter?: number;
  /** From 0 to 1, for the jitter. */
  readonly random?: () => number;
}

/** How long to wait before each further attempt: it tells delays and holds no timer. */
export class Backoff {
  readonly #options: BackoffOptions;
  #nextMs: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#nextMs = firstOf(options);
  }

  /** The delay before the next attempt, ms. */
  next(): number {
    const { firstMs, maxMs, jitter = 0, random = Math.random } = this.#options;
    const delayMs = this.#nextMs;
    this.#nextMs = Math.min(Math.max(delayMs * 2, firstMs), maxMs);
    return jitter === 0 ? delayMs : delayMs * (1 - jitter + jitter * random());
  }

  /** An attempt succeeded: the delays begin anew. */
  reset(): void {
    this.#nextMs = firstOf(this.#options);
  }
}

function firstOf({ firstMs, maxMs, startsAtOnce = false }: BackoffOptions): number {
  return startsAtOnce ? 0 : Math.min(firstMs, maxMs);
}
