import { expect, test } from '@jest/globals';

import { AuditRateLimiter } from '../../../src/features/audit/audit-rate-limiter.ts';

function budgetAt(policy: Partial<ConstructorParameters<typeof AuditRateLimiter>[0]>) {
  const clock = { nowMs: 0 };
  const rates = { perSource: 3, sourceRefillMs: 1_000, overall: 5, overallRefillMs: 500, maxSources: 100 };
  return { clock, budget: new AuditRateLimiter({ ...rates, ...policy }, () => clock.nowMs) };
}
const taken = (budget: AuditRateLimiter, source: string, times: number) =>
  Array.from({ length: times }, () => budget.take(source)?.unwritten ?? null);

test('a source has a burst, then one event per interval; the number of omitted events is reported once', () => {
  const { clock, budget } = budgetAt({});
  expect(taken(budget, 'a', 5)).toEqual([0, 0, 0, null, null]);
  clock.nowMs = 1_000;
  expect(taken(budget, 'a', 2)).toEqual([2, null]);
  expect(taken(budget, 'b', 1)).toEqual([1]);
});

test('events refused to one source do not count against the others, and all sources share a total limit', () => {
  const { budget } = budgetAt({});
  taken(budget, 'a', 1_000);
  expect(taken(budget, 'b', 3)).toEqual([997, 0, null]);
});

test('the total rate holds during a long flood from any number of sources', () => {
  const { clock, budget } = budgetAt({ maxSources: 10 });
  let written = 0;
  for (let n = 0; n < 10_000; n += 1) {
    clock.nowMs += 10;
    if (budget.take(`source-${n % 50}`)) written += 1;
  }
  expect(written).toBeLessThanOrEqual(5 + 100_000 / 500);
  expect(written).toBeGreaterThan(190);
});
