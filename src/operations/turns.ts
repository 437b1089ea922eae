import { Rejected } from '../domain/rejection.ts';

const RETRY_AFTER_MS = 1_000;

interface Line {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * Lets a few calls about the same thing run and has the others wait, where waiting costs nothing: neither a database
 * connection nor a place in a counter. Calls about different things do not wait for each other.
 */
export class Turns {
  readonly #width: number;
  readonly #mostWaiting: number;
  readonly #lines = new Map<string, Line>();

  /** @param width how many calls about one thing may run at once */
  constructor(width: number, mostWaiting: number) {
    this.#width = width;
    this.#mostWaiting = mostWaiting;
  }

  /** @throws Rejected `server-overloaded` when too many wait for the same thing */
  async take<T>(thing: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(thing) ?? { running: 0, waiting: [] };
    this.#lines.set(thing, line);
    if (line.running >= this.#width) {
      if (line.waiting.length >= this.#mostWaiting) {
        const cause = 'too many calls about one thing';
        throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
      }
      // Whoever ends hands its place over, so `running` stays as it is.
      await new Promise<void>((resolve) => line.waiting.push(resolve));
    } else {
      line.running += 1;
    }
    try {
      return await work();
    } finally {
      const next = line.waiting.shift();
      if (next) next();
      else line.running -= 1;
      if (line.running === 0) this.#lines.delete(thing);
    }
  }
}
