export interface BackoffOptions {
  /** The first delay; each further delay is twice the previous one. */
  readonly firstMs: number;
  /** The longest delay. */
  readonly maxMs: number;
  /** The first delay is 0, initially and after `reset`; `firstMs` comes second. */
  readonly startsAtOnce?: boolean;
  /**
   * The random share of each delay, 0 to 1, so that clients of a failed server do not all reconnect at the same moment.
   * 0.5 gives between half of the delay and all of it. The default is 0.
   */
  readonly jitter?: number;
  /** Random numbers from 0 to 1 for the jitter. */
  readonly random?: () => number;
}

/** Exponential backoff. Computes delays; holds no timer. */
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

  /** Call after a successful attempt: the delays start over. */
  reset(): void {
    this.#nextMs = firstOf(this.#options);
  }
}

function firstOf({ firstMs, maxMs, startsAtOnce = false }: BackoffOptions): number {
  return startsAtOnce ? 0 : Math.min(firstMs, maxMs);
}
