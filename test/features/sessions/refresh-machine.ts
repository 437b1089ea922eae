import fc from 'fast-check';

/** The outcome for a presented token: the generation issued for it, or why none was. */
export type Outcome = number | 'reuse' | 'expired' | 'ended';

/** A session under test, with a clock that the test moves. Generations count from 1. */
export interface SessionUnderTest {
  present(generation: number): Outcome | Promise<Outcome>;
  /** Advances the clock. */
  advance(ms: number): void | Promise<void>;
  revoke(): void | Promise<void>;
}

export interface Limits {
  readonly graceMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
}

/** The history of the session, from which the next answer must follow. */
export interface History {
  readonly limits: Limits;
  nowMs: number;
  /** When each generation was first exchanged; its index is the generation less one. */
  readonly exchangedAtMs: number[];
  ended: boolean;
}

export function newHistory(limits: Limits): History {
  return { limits, nowMs: 0, exchangedAtMs: [], ended: false };
}

type Step = fc.AsyncCommand<History, SessionUnderTest>;

/** The rules of S03-S07 and S10, derived from the history and not from the stored row. */
function dueOutcome({ limits, nowMs, exchangedAtMs, ended }: History, generation: number): Outcome {
  const newest = exchangedAtMs.length + 1;
  if (ended) return 'ended';
  const lastSignOfLifeMs = exchangedAtMs.at(-1) ?? 0;
  if (nowMs >= lastSignOfLifeMs + limits.idleMs || nowMs >= limits.lifetimeMs) return 'expired';
  if (generation === newest) return newest + 1;
  const firstUseMs = exchangedAtMs[generation - 1] ?? 0;
  return generation === newest - 1 && nowMs < firstUseMs + limits.graceMs ? newest : 'reuse';
}

class Present implements Step {
  /** How many generations the presented token is behind the newest. */
  readonly behind: number;

  constructor(behind: number) {
    this.behind = behind;
  }

  check({ exchangedAtMs }: Readonly<History>): boolean {
    return this.behind <= exchangedAtMs.length;
  }

  async run(history: History, session: SessionUnderTest): Promise<void> {
    const newest = history.exchangedAtMs.length + 1;
    const presented = newest - this.behind;
    const due = dueOutcome(history, presented);
    const outcome = await session.present(presented);
    if (outcome !== due) {
      throw new Error(`generation ${presented} of ${newest}: ${outcome} in place of ${due}`);
    }
    if (due === newest + 1) history.exchangedAtMs.push(history.nowMs);
    if (due === 'reuse') history.ended = true;
  }

  toString(): string {
    return `present(newest - ${this.behind})`;
  }
}

class Pass implements Step {
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }

  check(): boolean {
    return true;
  }

  async run(history: History, session: SessionUnderTest): Promise<void> {
    history.nowMs += this.ms;
    await session.advance(this.ms);
  }

  toString(): string {
    return `advance(${this.ms} ms)`;
  }
}

class Revoke implements Step {
  check(): boolean {
    return true;
  }

  async run(history: History, session: SessionUnderTest): Promise<void> {
    await session.revoke();
    history.ended = true;
  }

  toString(): string {
    return 'revoke()';
  }
}

/**
 * Sequences in which a few holders of one session present old and new tokens, near the edges of every window.
 *
 * @param unitMs time advances in multiples of it: a real clock may advance by less without an effect
 */
export function sessionLives(limits: Limits, maxCommands: number, unitMs = 1): fc.Arbitrary<Iterable<Step>> {
  const edges = [limits.graceMs, limits.idleMs, limits.lifetimeMs].flatMap((ms) => [ms, ms / 2]);
  const passing = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1, max: Math.max(2, limits.graceMs) }) },
    { weight: 2, arbitrary: fc.constantFrom(...edges.filter((ms) => ms >= 1)) },
  );
  return fc.commands(
    [
      fc.constant(new Present(0)),
      fc.constant(new Present(0)),
      fc.constant(new Present(1)),
      fc.integer({ min: 0, max: 5 }).map((behind) => new Present(behind)),
      passing.map((ms) => new Pass(Math.ceil(ms / unitMs) * unitMs)),
      passing.map((ms) => new Pass(Math.ceil(ms / unitMs) * unitMs)),
      fc.integer({ min: 0, max: 9 }).map((die) => (die === 0 ? new Revoke() : new Present(0))),
    ],
    { maxCommands },
  );
}
