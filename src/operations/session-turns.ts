import { Rejected } from '../domain/rejection.ts';

/** Fifty tabs that wake at once are honest; ten times as many are a fault. */
const MOST_WAITING = 500;
/** A row that somebody else holds costs each turn the lock timeout; who waits behind it hears so within 2 s in all. */
const LONGEST_WAIT_MS = 1_000;
const RETRY_AFTER_MS = 1_000;

interface Line {
  turn: Promise<unknown>;
  waiting: number;
}

/**
 * Lets the changes of one session through one after the other, so that many of them wait here, where waiting costs
 * nothing, and not on the session's row with a connection each (S09). Changes of different sessions do not wait. Only
 * for callers whose token is genuine: a stranger who knows a session's id must not be able to fill its line.
 */
export class SessionTurns {
  readonly #lines = new Map<string, Line>();

  /** @throws Rejected `server-overloaded` when too many wait for the same session, or the turn does not come in time */
  async take<T>(sessionId: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(sessionId) ?? { turn: Promise.resolve(), waiting: 0 };
    if (line.waiting >= MOST_WAITING) throw overloaded('too many calls for one session');
    let left = false;
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        left = true;
        reject(overloaded('other calls for the session take too long'));
      }, LONGEST_WAIT_MS);
    });
    const mine = line.turn.then(() => {
      clearTimeout(timer);
      return left ? undefined : work();
    });
    line.turn = mine.catch(() => undefined);
    line.waiting += 1;
    this.#lines.set(sessionId, line);
    void line.turn.then(() => this.#leave(sessionId, line));
    return Promise.race([mine as Promise<T>, tooLong]);
  }

  #leave(sessionId: string, line: Line): void {
    line.waiting -= 1;
    if (line.waiting === 0) this.#lines.delete(sessionId);
  }
}

function overloaded(cause: string): Rejected {
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
}
