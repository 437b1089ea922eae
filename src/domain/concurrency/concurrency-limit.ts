import { Rejected } from '../rejection.ts';

/**
 * Limits concurrent calls of a costly kind. Calls over the limit are refused at once, before they take a database
 * connection (L13): otherwise a flood of logins would queue for connections that other calls need.
 */
export class ConcurrencyLimit {
  readonly #max: number;
  readonly #retryAfterMs: () => number;
  #running = 0;

  /** @param retryAfterMs returns the delay for a refused caller's RetryInfo */
  constructor(max: number, retryAfterMs: () => number) {
    this.#max = max;
    this.#retryAfterMs = retryAfterMs;
  }

  /** @throws Rejected `server-overloaded` */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#max) {
      const cause = `the limit of ${this.#max} concurrent calls of this kind is reached`;
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
