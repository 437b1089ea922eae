import { Rejected } from './rejection.ts';

const RETRY_AFTER_MS = 1_000;

export interface KeyedLimits {
  /** How many calls about one thing may run at once. */
  readonly width: number;
  /** How many may wait; fifty tabs that wake at once are honest, ten times as many are a fault. */
  readonly maxWaiting: number;
  /** Who waits longer behind the others hears so. */
  readonly maxWaitMs: number;
}

interface Line {
  running: number;
  readonly waiting: Set<() => void>;
}

/**
 * Lets a few calls about the same thing run and has the others wait, where waiting costs nothing: neither a database
 * connection nor a place in a counter (S09). Calls about different things do not wait for each other. Only for callers
 * who have shown that the thing is theirs, or whose thing nobody else's depends on: a stranger could fill the line.
 */
export class KeyedLimiter {
  readonly #limits: KeyedLimits;
  readonly #lines = new Map<string, Line>();

  constructor(limits: KeyedLimits) {
    this.#limits = limits;
  }

  /** @throws Rejected `server-overloaded` when too many wait for the same thing, or the turn does not come in time */
  async run<T>(thing: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(thing) ?? { running: 0, waiting: new Set() };
    this.#lines.set(thing, line);
    if (line.running >= this.#limits.width) await this.#wait(line);
    else line.running += 1;
    try {
      return await work();
    } finally {
      const [next] = line.waiting;
      // Whoever ends hands its place over, so `running` stays as it is.
      if (next) next();
      else line.running -= 1;
      if (line.running === 0) this.#lines.delete(thing);
    }
  }

  #wait(line: Line): Promise<void> {
    if (line.waiting.size >= this.#limits.maxWaiting)
      throw overloaded('too many calls for the same user or session');
    return new Promise((resolve, reject) => {
      const go = () => {
        clearTimeout(timer);
        line.waiting.delete(go);
        resolve();
      };
      const timer = setTimeout(() => {
        line.waiting.delete(go);
        reject(overloaded('other calls for the same user or session take too long'));
      }, this.#limits.maxWaitMs);
      line.waiting.add(go);
    });
  }
}

function overloaded(cause: string): Rejected {
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
}
