import { describe, expect, test } from '@jest/globals';

import { rowOf } from '../../bench/goals.mjs';
import { curveRow, figureRow, ratioRow } from '../../bench/measured-row.mjs';
import { meets, ratioOf, type Round, sampleRounds, spread, verdictOf } from '../../bench/pairs.mjs';

const whole = { quick: false };
const sample = (calls: number, cpuSeconds = 1) => ({ calls, seconds: 1, cpuSeconds });

describe('a spread', () => {
  test('has the median, the lowest and the highest of its values', () => {
    expect(spread([10, 9, 100])).toEqual({ median: 10, low: 9, high: 100 });
  });

  test('of an even number of values has the mean of the middle two as its median', () => {
    expect(spread([4, 1, 2, 30])).toEqual({ median: 3, low: 1, high: 30 });
  });

  test('does not modify its input', () => {
    const values = [3, 1, 2];
    spread(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('rounds', () => {
  test('run every side once and the baseline twice, and rotate the order', async () => {
    const ran: string[] = [];
    const side = (name: string) => () => {
      ran.push(name);
      return Promise.resolve(sample(ran.length));
    };
    const lines: string[] = [];
    const sides = { baseline: side('baseline'), contender: side('contender') };
    const rounds = await sampleRounds(sides, 2, (line) => lines.push(line));
    expect(ran).toEqual(['baseline', 'contender', 'baseline', 'contender', 'baseline', 'baseline']);
    expect(rounds.map((round) => Object.keys(round).toSorted())).toEqual([
      ['baseline', 'contender', 'control'],
      ['baseline', 'contender', 'control'],
    ]);
    expect(rounds[1]).toMatchObject({
      contender: { calls: 4 },
      control: { calls: 5 },
      baseline: { calls: 6 },
    });
    expect(lines).toEqual(['  1 of 2', '  2 of 2']);
  });

  test('have no control when there is no baseline', async () => {
    const [round] = await sampleRounds({ one: () => Promise.resolve({}) }, 1, () => undefined);
    expect(Object.keys(round ?? {})).toEqual(['one']);
  });
});

describe('a ratio', () => {
  const rounds: Round[] = [{ baseline: sample(100, 2), contender: sample(150, 6), control: sample(200, 2) }];

  test('is relative to the mean of both baseline runs; the control compares those two runs', () => {
    const { ratio, control } = ratioOf(rounds, 'throughput');
    expect(ratio.median).toBe(1);
    expect(control.median).toBe(2);
  });

  test('can be of CPU time, of time per call or of p99', () => {
    expect(ratioOf(rounds, 'cpu').ratio.median).toBeCloseTo(25 / 75);
    expect(ratioOf(rounds, 'cost').ratio.median).toBeCloseTo(1 / 150 / ((1 / 100 + 1 / 200) / 2));
    const times: Round[] = [{ baseline: { p99Ms: 4 }, contender: { p99Ms: 15 }, control: { p99Ms: 6 } }];
    expect(ratioOf(times, 'p99').ratio.median).toBe(3);
  });
});

describe('a verdict', () => {
  const figure = (median: number, control: number | null) => ({
    measured: spread([median]),
    control: control === null ? null : spread([control]),
  });

  test.each([
    [{ atLeast: 0.9 }, 0.9, 'met'],
    [{ atLeast: 0.9 }, 0.899, 'missed'],
    [{ atMost: 1.3 }, 1.3, 'met'],
    [{ atMost: 1.3 }, 1.301, 'missed'],
    [{ below: 25 }, 24.9, 'met'],
    [{ below: 25 }, 25, 'missed'],
  ] as const)('for the goal %j and the value %d is %s', (goal, value, verdict) => {
    expect(verdictOf(figure(value, 1), goal)).toBe(verdict);
    expect(meets(value, goal)).toBe(verdict === 'met');
  });

  test.each([0.89, 1.11])('is withheld when the control is %d', (control) => {
    for (const value of [0.1, 10])
      expect(verdictOf(figure(value, control), { atLeast: 1 })).toBe('no verdict');
  });

  test.each([0.91, 1.09])('is given when the control is %d', (control) => {
    expect(verdictOf(figure(10, control), { atLeast: 1 })).toBe('met');
  });

  test('is given without a baseline, but not without a goal', () => {
    expect(verdictOf(figure(10, null), { atLeast: 1 })).toBe('met');
    expect(verdictOf(figure(10, 1), null)).toBe('none');
  });
});

describe('a row', () => {
  test('is judged by its own figure; further figures are only shown', () => {
    // Half of the throughput, but also half of the CPU time.
    const rounds = [{ baseline: sample(100), contender: sample(50, 0.5), control: sample(100) }];
    const row = ratioRow(rowOf('verify-seen'), rounds, whole, { also: ['throughput'] });
    expect(row).toMatchObject({
      measured: { median: 1 },
      also: { throughput: { median: 0.5 } },
      verdict: 'met',
    });
  });

  test('of a quick run has no verdict', () => {
    expect(figureRow(rowOf('login-flood', 'login-flood-p99'), [1], { quick: true }).verdict).toBe(
      'no verdict',
    );
    expect(figureRow(rowOf('verifier', 'verifier-same-text'), [1], { quick: true }).verdict).toBe('none');
  });

  test('of a curve is judged by its worst point: the highest cost or the lowest rate', () => {
    const rounds = [
      { baseline: sample(100), a: sample(50), b: sample(80), control: sample(100) },
      { baseline: sample(100), a: sample(50), b: sample(90), control: sample(100) },
    ];
    const points = [
      [10, 'a'],
      [20, 'b'],
    ] as const;
    const users = curveRow(rowOf('users'), rounds, whole, points);
    expect(users).toMatchObject({ measured: { median: 2, low: 2, high: 2 }, verdict: 'missed' });
    const revocations = curveRow(rowOf('revocations'), rounds, whole, points);
    expect(revocations).toMatchObject({ measured: { median: 0.5 }, verdict: 'missed' });
    expect(revocations.curve?.map(({ at, low, high }) => [at, low, high])).toEqual([
      [10, 0.5, 0.5],
      [20, 0.8, 0.9],
    ]);
    expect(Object.keys(revocations.also)).toEqual(['at 10', 'at 20']);
  });
});
