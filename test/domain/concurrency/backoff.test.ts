import { describe, expect, test } from '@jest/globals';

import { Backoff } from '../../../src/domain/concurrency/backoff.ts';

const delaysOf = (backoff: Backoff, count: number) => Array.from({ length: count }, () => backoff.next());

describe('the delays', () => {
  test('double up to the longest, and begin anew after a success', () => {
    const backoff = new Backoff({ firstMs: 100, maxMs: 500 });
    expect(delaysOf(backoff, 5)).toEqual([100, 200, 400, 500, 500]);
    backoff.reset();
    expect(delaysOf(backoff, 2)).toEqual([100, 200]);
  });

  test('may begin with none', () => {
    const backoff = new Backoff({ firstMs: 50, maxMs: 120, startsAtOnce: true });
    expect(delaysOf(backoff, 5)).toEqual([0, 50, 100, 120, 120]);
    backoff.reset();
    expect(delaysOf(backoff, 2)).toEqual([0, 50]);
  });

  test('are never longer than the longest, nor anything when all are none', () => {
    expect(delaysOf(new Backoff({ firstMs: 500, maxMs: 100 }), 2)).toEqual([100, 100]);
    expect(delaysOf(new Backoff({ firstMs: 0, maxMs: 0, jitter: 0.5 }), 2)).toEqual([0, 0]);
  });

  test('lie between half and the whole when half is random; what they grow by does not', () => {
    const values = [0, 0.5, 1];
    const random = () => values.shift() ?? 0;
    const backoff = new Backoff({ firstMs: 100, maxMs: 1_000, jitter: 0.5, random });
    expect(delaysOf(backoff, 3)).toEqual([50, 150, 400]);
  });

  test('are random without a source of chance of their own', () => {
    const [delayMs = 0] = delaysOf(new Backoff({ firstMs: 100, maxMs: 100, jitter: 0.5 }), 1);
    expect(delayMs).toBeGreaterThanOrEqual(50);
    expect(delayMs).toBeLessThanOrEqual(100);
  });
});
