import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { decideRefresh, sessionEndMs } from '../../../src/features/sessions/refresh-decision.ts';
import {
  type Limits,
  newHistory,
  type Outcome,
  type SessionUnderTest,
  sessionLives,
} from './refresh-machine.ts';

const limits: Limits = { graceMs: 10_000, idleMs: 600_000, lifetimeMs: 3_600_000 };
const RUNS = 1_000;

/** The decision and the write that the store makes for it, on a row in memory. */
class SessionInMemory implements SessionUnderTest {
  readonly #limits: Limits;
  row: { generation: number; rotatedAtMs: number | null; ended: boolean } = {
    generation: 1,
    rotatedAtMs: null,
    ended: false,
  };
  nowMs = 0;

  constructor(chosenLimits: Limits = limits) {
    this.#limits = chosenLimits;
  }

  decide(generation: number) {
    const session = { ...this.row, createdAtMs: 0, expiresAtMs: this.#limits.lifetimeMs };
    return decideRefresh(session, generation, this.nowMs, this.#limits);
  }

  present(generation: number): Outcome {
    const decision = this.decide(generation);
    if (decision.kind === 'rotate') {
      this.row = { ...this.row, generation: decision.to, rotatedAtMs: this.nowMs };
      return decision.to;
    }
    if (decision.kind === 'reuse') this.row = { ...this.row, ended: true };
    return decision.kind === 'repeat' ? decision.generation : decision.kind;
  }

  advance(ms: number): void {
    this.nowMs += ms;
  }

  revoke(): void {
    this.row = { ...this.row, ended: true };
  }
}

describe('refresh decisions as a state machine', () => {
  test.each([
    ['S03 S05 with a grace time', limits],
    ['S07 with none', { ...limits, graceMs: 0 }],
    ['S10 with a grace time longer than the idle time', { ...limits, graceMs: 60_000, idleMs: 30_000 }],
  ])('%s every answer follows from the history of the session', async (_name, chosenLimits) => {
    await fc.assert(
      fc.asyncProperty(sessionLives(chosenLimits, 40), (steps) =>
        fc.asyncModelRun(
          () => ({ model: newHistory(chosenLimits), real: new SessionInMemory(chosenLimits) }),
          steps,
        ),
      ),
      { numRuns: RUNS },
    );
  });
});

/** When a token is presented, and which of all tokens ever issued. */
const visits = fc.array(
  fc.record({ afterMs: fc.integer({ min: 0, max: 15_000 }), behind: fc.integer({ min: 0, max: 4 }) }),
  { maxLength: 40 },
);

test('S03 of all tokens ever issued at most one can be exchanged, and repeated exchanges of one token give the same successor', () => {
  fc.assert(
    fc.property(visits, (steps) => {
      const session = new SessionInMemory();
      const successors = new Map<number, number>();
      for (const { afterMs, behind } of steps) {
        session.advance(afterMs);
        const { generation: newest } = session.row;
        const all = Array.from({ length: newest }, (_, index) => index + 1);
        const exchangeable = all.filter((generation) => session.decide(generation).kind === 'rotate');
        expect(exchangeable.length).toBeLessThanOrEqual(1);
        const presented = Math.max(1, newest - behind);
        const outcome = session.present(presented);
        if (typeof outcome !== 'number') continue;
        expect(outcome).toBe(successors.get(presented) ?? outcome);
        successors.set(presented, outcome);
      }
    }),
    { numRuns: RUNS },
  );
});

test('S04 a client whose answers are lost and who retries within the grace time is never logged out', () => {
  const refreshes = fc.array(
    fc.record({
      afterMs: fc.integer({ min: 0, max: limits.idleMs - limits.graceMs }),
      // When it retries, counted from its first attempt; the answer to the last attempt arrives.
      retriesAfterMs: fc.array(fc.integer({ min: 0, max: limits.graceMs - 1 }), { maxLength: 6 }),
    }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(refreshes, (steps) => {
      const session = new SessionInMemory({ ...limits, lifetimeMs: Infinity });
      let held = 1;
      for (const { afterMs, retriesAfterMs } of steps) {
        session.advance(afterMs);
        const firstMs = session.nowMs;
        const answers = [0, ...retriesAfterMs.toSorted((a, b) => a - b)].map((delayMs) => {
          session.nowMs = firstMs + delayMs;
          return session.present(held);
        });
        expect(new Set(answers)).toEqual(new Set([held + 1]));
        held += 1;
      }
    }),
    { numRuns: RUNS },
  );
});

test('S06 when a thief and the owner refresh further apart than the grace time, the session ends for both', () => {
  const party = fc.constantFrom<'thief' | 'victim'>('thief', 'victim');
  const visit = fc.record({ who: party, afterMs: fc.integer({ min: limits.graceMs, max: 60_000 }) });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), fc.array(visit, { maxLength: 20 }), (before, steps) => {
      const session = new SessionInMemory();
      let generation = 1;
      for (let count = 0; count < before; count += 1) generation = session.present(generation) as number;
      const held = { thief: generation, victim: generation };
      let caught = false;
      for (const { who, afterMs } of steps) {
        session.advance(afterMs);
        const other = who === 'thief' ? 'victim' : 'thief';
        const outcome = session.present(held[who]);
        const exchangedByOther = held[other] > held[who];
        if (caught) expect(outcome).toBe('ended');
        else expect(outcome).toBe(exchangedByOther ? 'reuse' : held[who] + 1);
        caught ||= outcome === 'reuse';
        if (typeof outcome === 'number') held[who] = outcome;
      }
      if (new Set(steps.map(({ who }) => who)).size === 2) expect(caught).toBe(true);
      if (caught)
        expect([session.present(held.thief), session.present(held.victim)]).toEqual(['ended', 'ended']);
    }),
    { numRuns: RUNS },
  );
});

test('S05 the grace time starts at the first exchange, and repetitions do not extend it', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: limits.graceMs - 1 }), { maxLength: 60 }), (delaysMs) => {
      const session = new SessionInMemory();
      session.present(1);
      for (const delayMs of delaysMs.toSorted((a, b) => a - b)) {
        session.nowMs = delayMs;
        expect(session.present(1)).toBe(2);
      }
      session.nowMs = limits.graceMs;
      expect(session.present(1)).toBe('reuse');
    }),
  );
});

describe('S05 S06 with a grace time of ten minutes, a phone and a thief', () => {
  const minutes = (count: number) => count * 60_000;
  const long: Limits = { graceMs: minutes(10), idleMs: minutes(60 * 24), lifetimeMs: minutes(60 * 24 * 30) };

  test('a phone that lost the answer and is back after nine minutes stays logged in', () => {
    const session = new SessionInMemory(long);
    session.present(1);
    session.advance(minutes(9));
    expect(session.present(1)).toBe(2);
    session.advance(minutes(1));
    expect(session.present(1)).toBe('reuse');
  });

  test('a thief with the token before the last is noticed within the ten minutes', () => {
    const session = new SessionInMemory(long);
    expect([session.present(1), session.present(2), session.present(1)]).toEqual([2, 3, 'reuse']);
  });

  test.each([
    ['10 s', 10_000, 'reuse'],
    ['10 min', minutes(10), 'unnoticed'],
  ])('a thief who refreshes between the refreshes of the owner, at %s', (_name, graceMs, outcome) => {
    const session = new SessionInMemory({ ...long, graceMs });
    const held = { owner: 1, thief: 1 };
    let seen = 'unnoticed';
    for (let turn = 0; turn < 100 && seen === 'unnoticed'; turn += 1) {
      for (const who of ['owner', 'thief'] as const) {
        const answer = session.present(held[who]);
        if (typeof answer === 'number') held[who] = answer;
        else if (seen === 'unnoticed') seen = answer;
        session.advance(minutes(4));
      }
    }
    expect(seen).toBe(outcome);
  });
});

test('S07 without a grace time any second use is reuse, even in the same millisecond', () => {
  const session = new SessionInMemory({ ...limits, graceMs: 0 });
  expect([session.present(1), session.present(1), session.present(2)]).toEqual([2, 'reuse', 'ended']);
});

test('S10 refreshes extend the idle lifetime, never the absolute one', () => {
  const session = { createdAtMs: 0, rotatedAtMs: null, expiresAtMs: limits.lifetimeMs };
  expect(sessionEndMs(session, limits)).toBe(limits.idleMs);
  expect(sessionEndMs({ ...session, rotatedAtMs: 5_000 }, limits)).toBe(limits.idleMs + 5_000);
  expect(sessionEndMs({ ...session, rotatedAtMs: limits.lifetimeMs - 1 }, limits)).toBe(limits.lifetimeMs);
});

test('a generation above the stored one, as after a failover that lost exchanges, counts as the newest', () => {
  const session = new SessionInMemory();
  session.row.generation = 3;
  expect([session.present(7), session.present(7), session.present(3)]).toEqual([8, 8, 'reuse']);
});
