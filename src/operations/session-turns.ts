import { Rejected } from '../domain/rejection.ts';

/** Fifty tabs that wake at once are honest; ten times as many are a fault. */
const MOST_WAITING = 500;
const RETRY_AFTER_MS = 1_000;

/**
 * Lets the calls of one session through one after the other, so that many of them wait here, where waiting costs
 * nothing, and not on the session's row with a connection each (S09). Calls of different sessions do not wait.
 */
export class SessionTurns {
  readonly #last = new Map<string, { turn: Promise<unknown>; waiting: number }>();

  /** @throws Rejected `server-overloaded` when too many wait for the same session */
  async take<T>(sessionId: string, work: () => Promise<T>): Promise<T> {
    const line = this.#last.get(sessionId) ?? { turn: Promise.resolve(), waiting: 0 };
    if (line.waiting >= MOST_WAITING) {
      const cause = 'too many calls for one session';
      throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
    }
    const mine = line.turn.then(work);
    line.turn = mine.catch(() => undefined);
    line.waiting += 1;
    this.#last.set(sessionId, line);
    try {
      return await mine;
    } finally {
      line.waiting -= 1;
      if (line.waiting === 0) this.#last.delete(sessionId);
    }
  }
}
