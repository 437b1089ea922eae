import { describe, expect, test } from '@jest/globals';

import { Backoff } from '../../../src/domain/concurrency/backoff.ts';

const delaysOf = (backoff: Backoff, count: number) => Array.from({ length: count }, () => backoff.next());

describe('the delays', () => {
  test('double up to the maximum, and start over after a reset', () => {
    const backoff = new Backoff({ firstMs: 100, maxMs: 500 });
    expect(delaysOf(backoff, 5)).toEqual([100, 200, 400, 500, 500]);
    backoff.reset();
    expect(delaysOf(backoff, 2)).toEqual([100, 200]);
  });

  test('can start with 0', () => {
    const backoff = new Backoff({ firstMs: 50, maxMs: 120, startsAtOnce: true });
    expect(delaysOf(backoff, 5)).toEqual([0, 50, 100, 120, 120]);
    backoff.reset();
    expect(delaysOf(backoff, 2)).toEqual([0, 50]);
  });

  test('never exceed the maximum, and stay 0 when it is 0', () => {
    expect(delaysOf(new Backoff({ firstMs: 500, maxMs: 100 }), 2)).toEqual([100, 100]);
    expect(delaysOf(new Backoff({ firstMs: 0, maxMs: 0, jitter: 0.5 }), 2)).toEqual([0, 0]);
  });

  test('lie between half and the full delay with a jitter of 0.5, which does not change the growth', () => {
    const values = [0, 0.5, 1];
    const random = () => values.shift() ?? 0;
    const backoff = new Backoff({ firstMs: 100, maxMs: 1_000, jitter: 0.5, random });
    expect(delaysOf(backoff, 3)).toEqual([50, 150, 400]);
  });

  test('are random without a given random source', () => {
    const [delayMs = 0] = delaysOf(new Backoff({ firstMs: 100, maxMs: 100, jitter: 0.5 }), 1);
    expect(delayMs).toBeGreaterThanOrEqual(50);
    expect(delayMs).toBeLessThanOrEqual(100);
  });
});
