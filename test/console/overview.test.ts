import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { axisEnd, HEIGHT, piecesOf, WIDTH } from '../../console/src/pages/overview/chart-geometry.ts';
import { Instances, MAX_SHOWN, WINDOW_MS } from '../../console/src/pages/overview/instances.ts';
import {
  delayWarning,
  judgeDatabase,
  judgeHashQueue,
  judgeTrust,
  loginWarning,
} from '../../console/src/pages/overview/judgements.ts';
import { between, percentile } from '../../console/src/pages/overview/percentile.ts';
import { readingOf } from '../../console/src/pages/overview/reading.ts';
import { digits, duration, perSecond } from '../../console/src/pages/overview/units.ts';
import { DurationHistogram } from '../../src/domain/histogram.ts';

function histogramOf(durationsMs: readonly number[]) {
  const histogram = new DurationHistogram();
  for (const ms of durationsMs) histogram.observe(ms);
  const { bounds, sumSeconds } = histogram;
  return { bounds, cumulative: histogram.cumulative(), sumSeconds };
}

describe('C24 percentiles of what came between two readings', () => {
  test('there are none without an observation, and one alone is known exactly', () => {
    const before = histogramOf([3, 70]);
    expect(percentile(between(before, before), 0.99)).toBeNull();
    const one = between(before, histogramOf([3, 70, 17]));
    expect(percentile(one, 0.5)).toBeCloseTo(0.017, 9);
    expect(percentile(one, 0.99)).toBeCloseTo(0.017, 9);
  });

  test('earlier observations do not count', () => {
    const slow = Array.from({ length: 1000 }, () => 900);
    const quick = Array.from({ length: 10 }, () => 7);
    expect(
      percentile(between(histogramOf(slow), histogramOf([...slow, ...quick])), 0.99),
    ).toBeLessThanOrEqual(0.01);
  });

  test('within a bucket the place among its observations counts', () => {
    const histogram = { bounds: [0.1, 0.2], cumulative: [0, 10, 10], sumSeconds: 1.5 };
    expect(percentile(histogram, 0.5)).toBeCloseTo(0.15, 9);
    expect(percentile(histogram, 0.99)).toBeCloseTo(0.199, 9);
  });

  test('above the last bound they are that bound', () => {
    expect(percentile(histogramOf([9_000, 9_000, 9_000]), 0.5)).toBe(5);
  });

  test('each lies in the bucket of the true percentile', () => {
    const durations = fc.array(fc.double({ min: 0.01, max: 4_999, noNaN: true }), {
      minLength: 2,
      maxLength: 200,
    });
    fc.assert(
      fc.property(durations, fc.constantFrom(0.5, 0.99), (durationsMs, share) => {
        const sorted = [...durationsMs].sort((one, other) => one - other);
        const trueSeconds = (sorted[Math.ceil(share * sorted.length) - 1] ?? 0) / 1000;
        const histogram = histogramOf(durationsMs);
        const found = percentile(histogram, share) ?? NaN;
        const index = histogram.bounds.findIndex((bound) => trueSeconds <= bound);
        expect(found).toBeGreaterThanOrEqual(index === 0 ? 0 : (histogram.bounds[index - 1] ?? 0));
        expect(found).toBeLessThanOrEqual(histogram.bounds[index] ?? 0);
      }),
    );
  });
});

interface Given {
  readonly id?: string;
  readonly startedAt?: string;
  readonly logins?: number;
  readonly verified?: number;
  readonly delaysMs?: readonly number[];
}

function reading({
  id = 'one',
  startedAt = '2026-01-01T00:00:00Z',
  logins = 0,
  verified = 0,
  delaysMs = [],
}: Given) {
  const { bounds, cumulative, sumSeconds } = histogramOf(delaysMs);
  return readingOf({
    instanceId: id,
    startedAt,
    answeredAt: startedAt,
    logins: { ok: logins },
    verifications: { ok: verified },
    revocationDelays: { boundsSeconds: [...bounds], cumulativeCounts: cumulative, sumSeconds },
  });
}

describe('C25 the series of instances', () => {
  test('rates are of one instance alone, whichever answers', () => {
    const instances = new Instances();
    instances.add(reading({ logins: 100, verified: 1_000 }), 0);
    instances.add(reading({ id: 'two', logins: 5 }), 2_000);
    instances.add(reading({ logins: 108, verified: 1_400 }), 4_000);
    instances.add(reading({ id: 'two', logins: 5 }), 6_000);
    const series = Object.fromEntries(
      instances.shown.map(({ latest, points }) => [latest.instanceId, points]),
    );
    expect(series['one']).toMatchObject([
      { atMs: 4_000, logins: { ok: 2, wrongCredentials: 0 }, verified: 100 },
    ]);
    expect(series['two']).toMatchObject([{ atMs: 6_000, logins: { ok: 0 }, verified: 0, delays: null }]);
  });

  test('a restart begins a new series, so that no rate is negative', () => {
    const instances = new Instances();
    instances.add(reading({ logins: 100 }), 0);
    instances.add(reading({ id: 'restarted', startedAt: '2026-01-01T00:00:03Z', logins: 1 }), 2_000);
    instances.add(reading({ id: 'restarted', startedAt: '2026-01-01T00:00:03Z', logins: 3 }), 4_000);
    expect(instances.shown.map(({ latest }) => latest.instanceId)).toEqual(['restarted', 'one']);
    expect(instances.shown.flatMap(({ points }) => points.map(({ logins }) => logins.ok))).toEqual([1]);
    expect(instances.latest?.instanceId).toBe('restarted');
  });

  test('a revocation is a point of both percentiles, and without one there is a gap', () => {
    const instances = new Instances();
    instances.add(reading({}), 0);
    instances.add(reading({ delaysMs: [12] }), 2_000);
    instances.add(reading({ delaysMs: [12] }), 4_000);
    const [first, second] = instances.shown[0]?.points ?? [];
    expect(first?.delays?.p50Ms).toBeCloseTo(12, 6);
    expect(first?.delays?.p99Ms).toBeCloseTo(12, 6);
    expect(second?.delays).toBeNull();
  });

  test('it keeps two minutes, and forgets instances that have not answered for so long', () => {
    const instances = new Instances();
    instances.add(reading({ id: 'gone' }), 0);
    for (let atMs = 0; atMs <= 2 * WINDOW_MS; atMs += 2_000) instances.add(reading({}), atMs);
    expect(instances.shown.map(({ latest }) => latest.instanceId)).toEqual(['one']);
    expect(instances.shown[0]?.points).toHaveLength(WINDOW_MS / 2_000 + 1);
  });

  test('more instances than can be shown are counted', () => {
    const instances = new Instances();
    for (let index = 0; index < MAX_SHOWN + 3; index += 1) instances.add(reading({ id: `i${index}` }), index);
    expect(instances.shown).toHaveLength(MAX_SHOWN);
    expect(instances.hidden).toBe(3);
  });
});

describe('the geometry of charts', () => {
  test.each([
    [0, 1, 1],
    [0.3, 0.1, 0.5],
    [0.2, 0.1, 0.2],
    [1, 1, 1],
    [1.01, 1, 2],
    [51, 50, 100],
    [4_200, 50, 5_000],
  ])('the axis of %d, at least %d, ends at %d', (value, least, end) =>
    expect(axisEnd(value, least)).toBeCloseTo(end, 9),
  );

  test('the newest point is on the right, zero at the bottom, and a gap divides the line', () => {
    const values = [
      { atMs: 0, value: 9 },
      { atMs: 50_000, value: 0 },
      { atMs: 80_000, value: 10 },
      { atMs: 90_000, value: null },
      { atMs: 110_000, value: 5 },
    ];
    expect(piecesOf(values, { nowMs: 110_000, windowMs: 60_000, max: 10 })).toEqual([
      [
        [0, HEIGHT],
        [WIDTH / 2, 0],
      ],
      [[WIDTH, HEIGHT / 2]],
    ]);
  });
});

describe('C26 each value has a unit, and says whether it is normal', () => {
  test.each([
    [0.0000004, '0.0004 ms'],
    [0.0123, '12.3 ms'],
    [0.25, '250 ms'],
    [1.234, '1.2 s'],
    [61, '1 min 1 s'],
    [600, '10 min'],
    [7_260, '2 h 1 min'],
    [200_000, '2 days'],
  ])('%d s is %s', (seconds, text) => expect(duration(seconds).replaceAll('\u00a0', ' ')).toBe(text));

  test('rates', () => {
    expect([0, 0.5, 12.34, 1234.5].map(perSecond)).toEqual(['0/s', '0.5/s', '12.3/s', '1,235/s']);
    expect(digits(99.96)).toBe('100');
  });

  test.each([
    [null, 'danger', 'loading'],
    [0.4, 'good', 'normal'],
    [2.5, 'warn', 'late'],
    [61, 'danger', 'old'],
    [301, 'danger', 'verification has stopped'],
  ])('the trust age %p is %s: %s', (ageSeconds, level, word) =>
    expect(judgeTrust({ ageSeconds, maxStalenessSeconds: 300 })).toMatchObject({ level, word }),
  );

  test.each([
    [0, 'good'],
    [31, 'good'],
    [32, 'warn'],
    [64, 'danger'],
  ])('%d waiting hashes of 65 places are %s', (waiting, level) =>
    expect(judgeHashQueue({ running: 1, waiting, capacity: 65, averageSeconds: 0.05 }).level).toBe(level),
  );

  const database = {
    reachable: true,
    circuitOpen: false,
    connectionsUsed: 1,
    connectionsMax: 10,
    clockAheadSeconds: 0.01,
  };
  test.each([
    [{}, 'normal'],
    [{ reachable: false }, 'unreachable'],
    [{ circuitOpen: true }, 'does not answer'],
    [{ connectionsUsed: 10 }, 'busy'],
    [{ clockAheadSeconds: -6 }, 'clocks differ'],
    [{ clockAheadSeconds: null }, 'normal'],
  ])('a database with %o is %s', (change, word) =>
    expect(judgeDatabase({ ...database, ...change }).word).toBe(word),
  );

  test('a slow revocation, and throttled or overloaded logins', () => {
    expect([null, 30, 1_000, 1_001].map(delayWarning)).toEqual([null, null, null, 'slow']);
    const { logins } = reading({});
    expect(loginWarning(undefined)).toBeNull();
    expect(loginWarning({ ...logins, ok: 5, wrongCredentials: 1 })).toBeNull();
    expect(loginWarning({ ...logins, throttled: 0.5 })).toBe('throttled');
    expect(loginWarning({ ...logins, throttled: 0.5, overloaded: 0.5 })).toBe('overloaded');
  });
});
