import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { clockOffset } from '../../console/src/clock.ts';
import { type KeyTimes, livesOf, nextChange } from '../../console/src/pages/signing-keys/key-life.ts';
import {
  fittingSpan,
  position,
  rowsOf,
  spanOf,
  spans,
  ticksOf,
} from '../../console/src/pages/signing-keys/timeline-geometry.ts';

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const NOW = Date.parse('2026-11-28T12:00:00Z');
const key = (kid: string, state: string, times: Partial<KeyTimes>): KeyTimes => ({
  kid,
  algorithm: 'ES256',
  state,
  createdAtMs: NOW,
  activateAtMs: times.createdAtMs ?? NOW,
  removeAtMs: null,
  ...times,
});
const phasesOf = (keys: readonly KeyTimes[], revokedAtMs: ReadonlyMap<string, number> = new Map()) =>
  Object.fromEntries(
    livesOf(keys, revokedAtMs).map(({ kid, phases, endMs }) => [
      kid,
      [
        ...phases.map(({ kind, fromMs, toMs }) => [kind, fromMs - NOW, toMs === null ? null : toMs - NOW]),
        endMs === null ? null : endMs - NOW,
      ],
    ]),
  );

describe('C44 the life of a key', () => {
  test('a key that was made at the start signs at once, until nobody knows when', () => {
    expect(phasesOf([key('a', 'active', { createdAtMs: NOW - DAY })])).toEqual({
      a: [['signs', -DAY, null], null],
    });
  });
  test('while a rotation is under way the present key retires when the next one signs', () => {
    const keys = [
      key('b', 'pending', { createdAtMs: NOW, activateAtMs: NOW + 10 * MINUTE }),
      key('a', 'active', { createdAtMs: NOW - DAY }),
    ];
    expect(phasesOf(keys)).toEqual({
      b: [['published', 0, 10 * MINUTE], ['signs', 10 * MINUTE, null], null],
      a: [['signs', -DAY, 10 * MINUTE], ['retired', 10 * MINUTE, null], null],
    });
    expect(nextChange(keys)).toBe(NOW + 10 * MINUTE);
  });
  test('a retired key stopped when the next one began, and is gone at its time', () => {
    const keys = [
      key('b', 'active', { createdAtMs: NOW - 12 * MINUTE, activateAtMs: NOW - 2 * MINUTE }),
      key('a', 'retired', { createdAtMs: NOW - DAY, removeAtMs: NOW + 9 * MINUTE }),
    ];
    expect(phasesOf(keys)).toEqual({
      b: [['published', -12 * MINUTE, -2 * MINUTE], ['signs', -2 * MINUTE, null], null],
      a: [['signs', -DAY, -2 * MINUTE], ['retired', -2 * MINUTE, 9 * MINUTE], 9 * MINUTE],
    });
    expect(nextChange(keys)).toBe(NOW + 9 * MINUTE);
  });
  test('revoked keys end when the audit trail says, in whatever phase they were', () => {
    const keys = [
      key('d', 'active', { createdAtMs: NOW - MINUTE }),
      key('c', 'revoked', { createdAtMs: NOW - 5 * MINUTE, activateAtMs: NOW + 5 * MINUTE }),
      key('b', 'revoked', { createdAtMs: NOW - 20 * MINUTE }),
      key('a', 'revoked', { createdAtMs: NOW - DAY, removeAtMs: NOW - 9 * MINUTE }),
    ];
    const revoked = new Map([
      ['a', NOW - 15 * MINUTE],
      ['b', NOW - MINUTE],
      ['c', NOW - 4 * MINUTE],
    ]);
    expect(phasesOf(keys, revoked)).toEqual({
      d: [['signs', -MINUTE, null], null],
      c: [['published', -5 * MINUTE, -4 * MINUTE], -4 * MINUTE],
      b: [['signs', -20 * MINUTE, -MINUTE], -MINUTE],
      a: [['signs', -DAY, -20 * MINUTE], ['retired', -20 * MINUTE, -15 * MINUTE], -15 * MINUTE],
    });
    expect(nextChange(keys)).toBeNull();
  });
  test('a key whose revocation the trail no longer has ends when the next one began', () => {
    const keys = [
      key('b', 'active', { createdAtMs: NOW - MINUTE }),
      key('a', 'revoked', { createdAtMs: NOW - DAY }),
    ];
    expect(phasesOf(keys)['a']).toEqual([['signs', -DAY, -MINUTE], -MINUTE]);
  });
  test('a key that was revoked before its time ends nobody else', () => {
    const keys = [
      key('c', 'active', { createdAtMs: NOW - MINUTE }),
      key('b', 'revoked', { createdAtMs: NOW - 20 * MINUTE, activateAtMs: NOW - 10 * MINUTE }),
      key('a', 'retired', { createdAtMs: NOW - DAY, removeAtMs: NOW + 10 * MINUTE }),
    ];
    const revoked = new Map([['b', NOW - 15 * MINUTE]]);
    expect(phasesOf(keys, revoked)['a']?.[0]).toEqual(['signs', -DAY, -MINUTE]);
  });
});

describe('C44 the geometry of the timeline', () => {
  const rotation = livesOf(
    [
      key('b', 'pending', { createdAtMs: NOW - MINUTE, activateAtMs: NOW + 9 * MINUTE }),
      key('a', 'active', { createdAtMs: NOW - 30 * DAY }),
    ],
    new Map(),
  );

  test('shows the smallest span in which everything that is to come can be seen', () => {
    expect(fittingSpan(rotation, NOW)).toBe('hour');
    const soon = (ms: number) =>
      fittingSpan(livesOf([key('b', 'pending', { activateAtMs: NOW + ms })], new Map()), NOW);
    expect([soon(19 * MINUTE), soon(DAY / 4), soon(DAY), soon(90 * DAY)]).toEqual([
      'day',
      'day',
      'week',
      'all',
    ]);
    expect(fittingSpan(livesOf([key('a', 'active', { createdAtMs: NOW - DAY })], new Map()), NOW)).toBe(
      'all',
    );
  });
  test('is to scale, with bars cut at the edges and at now', () => {
    const span = spanOf('hour', rotation, NOW);
    expect([span.fromMs, span.toMs]).toEqual([NOW - 42 * MINUTE, NOW + 18 * MINUTE]);
    const [b, a] = rowsOf(rotation, span, NOW);
    const round = (x: number) => Math.round(x * 100) / 100;
    const barsOf = (row: typeof a) =>
      row?.bars.map(({ kind, x, width, isPlanned }) => [kind, round(x), round(width), isPlanned]);
    expect(barsOf(b)).toEqual([
      ['published', 68.33, 1.67, false],
      ['published', 70, 15, true],
      ['signs', 85, 15, true],
    ]);
    expect(barsOf(a)).toEqual([
      ['signs', 0, 70, false],
      ['signs', 70, 15, true],
      ['retired', 85, 15, true],
    ]);
    // The key began to sign long before the span: no mark says otherwise.
    expect(a?.marks.map(({ what, x }) => [what, round(x)])).toEqual([['retired', 85]]);
  });
  test('keeps a phase visible that is too short for the scale, and its time readable', () => {
    const span = spanOf('all', rotation, NOW);
    const [b] = rowsOf(rotation, span, NOW);
    for (const { x, width } of b?.bars ?? []) {
      expect(width).toBeGreaterThanOrEqual(0.5);
      expect(x + width).toBeLessThanOrEqual(100);
    }
    // Two times close to each other stand below each other, a third one is left to the table.
    expect(b?.marks.map(({ line }) => line)).toEqual([0, 1]);
    const close = [0, 1, 2].map((n) => NOW + n * 1_500);
    const lives = livesOf(
      [
        key('b', 'active', { createdAtMs: NOW - DAY, activateAtMs: close[1] ?? 0 }),
        key('a', 'retired', {
          createdAtMs: close[0] ?? 0,
          activateAtMs: close[0] ?? 0,
          removeAtMs: close[2] ?? 0,
        }),
      ],
      new Map(),
    );
    expect(rowsOf(lives, spanOf('week', lives, NOW), NOW)[1]?.marks.map(({ line }) => line)).toEqual([
      0,
      1,
      null,
    ]);
  });
  test('leaves out keys that ended before the span', () => {
    const lives = livesOf([key('a', 'revoked', { createdAtMs: NOW - 2 * DAY })], new Map([['a', NOW - DAY]]));
    expect(rowsOf(lives, spanOf('hour', lives, NOW), NOW)).toEqual([]);
    expect(rowsOf(lives, spanOf('week', lives, NOW), NOW)).toHaveLength(1);
  });
  test('whatever the times, everything lies within the picture', () => {
    const time = fc.integer({ min: -400 * DAY, max: 400 * DAY }).map((ms) => NOW + ms);
    const anyKey = fc.record({
      kid: fc.string({ minLength: 1, maxLength: 4 }),
      algorithm: fc.constant('ES256'),
      state: fc.constantFrom('pending', 'active', 'retired', 'revoked'),
      createdAtMs: time,
      activateAtMs: time,
      removeAtMs: fc.option(time),
    });
    fc.assert(
      fc.property(
        fc.array(anyKey, { maxLength: 6 }),
        fc.constantFrom(...Object.keys(spans)),
        (keys, name) => {
          const lives = livesOf(keys, new Map());
          const span = spanOf(name, lives, NOW);
          expect(span.toMs).toBeGreaterThan(span.fromMs);
          expect(ticksOf(span, 3_600_000).length).toBeLessThanOrEqual(8);
          for (const { bars, marks } of rowsOf(lives, span, NOW)) {
            for (const { x, width } of bars) {
              expect(width).toBeGreaterThan(0);
              expect(x).toBeGreaterThanOrEqual(0);
              expect(x + width).toBeLessThanOrEqual(100.0001);
            }
            for (const { x } of marks) expect(x >= 0 && x <= 100).toBe(true);
          }
        },
      ),
    );
  });
  test('its days begin at midnight of the browser', () => {
    const span = { fromMs: NOW - 3 * DAY, toMs: NOW };
    const ticks = ticksOf(span, 2 * 60 * MINUTE);
    expect(ticks.map((atMs) => new Date(atMs).toISOString().slice(11, 16))).toEqual([
      '22:00',
      '22:00',
      '22:00',
    ]);
    expect(position(NOW + DAY, span)).toBe(100);
  });
});

describe('C45 the clock of the service', () => {
  test('is followed when the clock of the browser is wrong', () => {
    expect(clockOffset('Sat, 28 Nov 2026 12:00:00 GMT', NOW + 3_600_000)).toBe(-3_599_500);
    expect(clockOffset('Sat, 28 Nov 2026 12:00:00 GMT', NOW - DAY)).toBe(DAY + 500);
  });
  test('is that of the browser while they differ by less than an answer takes, and without a date', () => {
    expect(clockOffset('Sat, 28 Nov 2026 12:00:00 GMT', NOW + 3_000)).toBe(0);
    expect(clockOffset(null, NOW)).toBe(0);
    expect(clockOffset('yesterday', NOW)).toBe(0);
  });
});
