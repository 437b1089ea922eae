import { expect, test } from '@jest/globals';

import { RepeatRateLimiter, repeatRateLimits } from '../../../src/features/sessions/repeat-rate-limiter.ts';

const graceMs = 10_000;
function budgetAt(policy: Partial<ReturnType<typeof repeatRateLimits>> = {}) {
  const clock = { nowMs: 0 };
  return {
    clock,
    budget: new RepeatRateLimiter({ ...repeatRateLimits(graceMs), ...policy }, () => clock.nowMs),
  };
}
const taken = (budget: RepeatRateLimiter, times: number, token = 'a', session = 's') =>
  Array.from({ length: times }, () => budget.take(session, token, graceMs)).filter((waitMs) => waitMs === 0)
    .length;

test('S18 allows a hundred repeats at once and a hundred more per grace time, for all tokens of a session together', () => {
  const { clock, budget } = budgetAt();
  expect(taken(budget, 150)).toBe(100);
  expect(budget.take('s', 'b', graceMs)).toBe(100);
  clock.nowMs = 99;
  expect(budget.take('s', 'a', graceMs)).toBeLessThanOrEqual(2);
  clock.nowMs = 100;
  expect(taken(budget, 5)).toBe(1);
  clock.nowMs += graceMs;
  expect(taken(budget, 150)).toBe(100);
  expect(taken(budget, 5, 'a', 'another session')).toBe(5);
});

test.each([
  ['1m', 60_000],
  ['5m', 300_000],
  ['10m', 600_000],
])('S18 with a grace time of %s fifty browser tabs may repeat every minute', (_name, longGraceMs) => {
  const clock = { nowMs: 0 };
  const budget = new RepeatRateLimiter(repeatRateLimits(longGraceMs), () => clock.nowMs);
  const counts = Array.from({ length: 20 }, () => {
    clock.nowMs += 60_000;
    return taken(budget, 60);
  });
  expect(new Set(counts)).toEqual(new Set([60]));
  // Reuse on another instance is noticed here within a second, also by a refused token.
  taken(budget, 100);
  expect(budget.take('s', 'a', longGraceMs)).toBeLessThan(1_000);
});

test('S18 a refused token is recognised without reading the session, and no other token is mistaken for it', () => {
  const { clock, budget } = budgetAt();
  expect(budget.waitMsOf('s', 'a')).toBe(0);
  taken(budget, 100);
  expect(budget.waitMsOf('s', 'a')).toBe(0);
  expect(taken(budget, 1)).toBe(0);
  expect(budget.waitMsOf('s', 'a')).toBe(100);
  expect([
    budget.waitMsOf('s', 'the next'),
    budget.waitMsOf('s', 'forged'),
    budget.waitMsOf('t', 'a'),
  ]).toEqual([0, 0, 0]);
  clock.nowMs = 100;
  expect(budget.waitMsOf('s', 'a')).toBe(0);
});

test('S18 S06 once the session has a newer token the refused one is checked again: it may be reuse by now', () => {
  const { budget } = budgetAt();
  taken(budget, 101);
  expect(budget.waitMsOf('s', 'a')).toBe(100);
  budget.clearRefusal('s');
  expect(budget.waitMsOf('s', 'a')).toBe(0);
});

test('S18 S06 after the grace time the refused token is checked again: it is reuse then', () => {
  const { clock, budget } = budgetAt({ refillMs: 1_000_000 });
  taken(budget, 100);
  expect(budget.take('s', 'a', 3_000)).toBe(1_000_000);
  clock.nowMs = 2_999;
  expect(budget.waitMsOf('s', 'a')).toBeGreaterThan(0);
  clock.nowMs = 3_000;
  expect(budget.waitMsOf('s', 'a')).toBe(0);
});

test('S18 remembers a bounded number of sessions, and keeps the repeating ones', () => {
  const { budget } = budgetAt({ maxSessions: 3 });
  taken(budget, 101);
  for (const other of ['t', 'u', 'v', 'w']) {
    taken(budget, 1, 'a', other);
    if (other === 'v') break;
    budget.take('s', 'a', graceMs);
  }
  expect(budget.waitMsOf('s', 'a')).toBeGreaterThan(0);
  for (const other of ['w', 'x', 'y']) taken(budget, 1, 'a', other);
  expect(budget.waitMsOf('s', 'a')).toBe(0);
});

test('without a grace time the policy is still valid', () => {
  expect(repeatRateLimits(0).refillMs).toBeGreaterThan(0);
});
