import { Rejected } from './rejection.ts';

/**
 * How many calls of a costly kind may be under way. What comes beyond is refused at once, before it has taken a database
 * connection or anybody's time (L13): a flood of logins would otherwise wait for connections that honest calls need.
 */
export class ConcurrencyLimit {
  readonly #max: number;
  readonly #retryAfterMs: () => number;
  #running = 0;

  /** @param retryAfterMs what a refused caller is told to wait */
  constructor(max: number, retryAfterMs: () => number) {
    this.#max = max;
    this.#retryAfterMs = retryAfterMs;
  }

  /** @throws Rejected `server-overloaded` */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#max) {
      const cause = `${this.#max} calls of this kind are being served`;
      throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: this.#retryAfterMs() });
    }
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
    }
  }
}
