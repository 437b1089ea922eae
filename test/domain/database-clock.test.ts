import { beforeEach, describe, expect, test } from '@jest/globals';

import { DatabaseClock } from '../../src/domain/database-clock.ts';

const startMs = Date.UTC(2026, 0, 1);
/** The database's clock, which is the true one, and the shift of this machine's. */
let trueMs: number;
let wallShiftMs: number;
let clock: DatabaseClock;

beforeEach(() => {
  trueMs = startMs;
  wallShiftMs = 0;
  clock = new DatabaseClock(
    () => trueMs + wallShiftMs,
    () => trueMs - startMs,
  );
});

/** One reading of the database's clock, with the time that the query and the response take. */
function read(thereMs: number, backMs: number, databaseShiftMs = 0): void {
  const sentMs = trueMs - startMs;
  trueMs += thereMs;
  const databaseMs = trueMs + databaseShiftMs;
  trueMs += backMs;
  clock.observe({ databaseMs, sentMs, receivedMs: trueMs - startMs });
}

describe('the measured difference of the two clocks', () => {
  test("is unknown before the first reading, and this machine's clock is used", () => {
    wallShiftMs = 250_000;
    expect(clock.aheadMs).toBeNull();
    expect(clock.nowMs()).toBe(trueMs + 250_000);
    expect(clock.takeTransition()).toBeNull();
  });

  test.each([250_000, 3_000, 0, -250_000])('of %d ms is accurate to half of the round trip', (shiftMs) => {
    wallShiftMs = shiftMs;
    read(0, 400);
    expect(clock.aheadMs).toBe(shiftMs + 200);
    read(10, 10);
    expect(clock.aheadMs).toBe(shiftMs);
    // A slower reading that agrees does not replace a faster one.
    read(0, 800);
    expect(clock.aheadMs).toBe(shiftMs);
  });

  test("changes as soon as this machine's clock is set", () => {
    read(1, 1);
    wallShiftMs = 60_000;
    expect(clock.aheadMs).toBe(60_000);
    expect(clock.nowMs()).toBe(trueMs);
  });

  test('changes with the first reading from a database with another clock', () => {
    read(1, 1);
    read(300, 300, 60_000);
    expect(clock.aheadMs).toBe(-60_000);
  });

  test('follows a drift of the monotonic clock', () => {
    for (let hour = 0; hour < 24; hour += 1) {
      read(2, 4, hour * 40);
      trueMs += 3_600_000;
    }
    expect(Math.abs((clock.aheadMs ?? 0) + 23 * 40)).toBeLessThanOrEqual(6);
  });
});

describe('S17 the time used for token dates, against the true time, with a clock that is', () => {
  test.each([
    ['far ahead', 250_000, 0],
    ['ahead by more than the clock skew of verifiers', 5_001, 0],
    ['ahead by exactly that skew', 5_000, 5_000],
    ['a little ahead', 800, 800],
    ['behind', -250_000, -250_000],
  ])('%s', (_name, shiftMs, expected) => {
    wallShiftMs = shiftMs;
    read(0, 0);
    expect(clock.nowMs() - trueMs).toBe(expected);
  });
});

test('a clock that differs is reported once, and again once when it agrees', () => {
  const reports: (string | null)[] = [];
  for (const shiftMs of [4_999, 5_001, 9_000, -5_001, 3_000, 2_400, 4_000, -6_000]) {
    wallShiftMs = shiftMs;
    read(0, 0);
    reports.push(clock.takeTransition());
  }
  expect(reports).toEqual([null, 'differs', null, null, null, 'agrees', null, 'differs']);
});
