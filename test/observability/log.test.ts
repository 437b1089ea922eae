import { expect, test } from '@jest/globals';

import { createLog } from '../../src/observability/log.ts';

/** The lines of one event with these fields. */
function linesOf(fields: object): string[] {
  const written: string[] = [];
  createLog('info', { write: (text) => void written.push(text) }).warn(fields, 'event');
  return written.join('').split('\n').slice(0, -1);
}

const escape = String.fromCharCode(27);
const hostile = [
  'a line\n{"level":"info","event":"forged"}',
  'carriage\rreturn',
  `colour ${escape}[31m and \u009b31m`,
  'separators \u2028 and \u2029',
  'turned \u202e around \u2066',
  'nul \0 and del \u007f',
  'half a pair \ud800',
];

test.each(hostile)('O02 %j is one line without terminal control characters', (text) => {
  for (const fields of [{ detail: text }, { cause: new Error(text) }, { cause: text }]) {
    const lines = linesOf(fields);
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toMatch(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'warn', event: 'event' });
  }
});

test('O02 a long text is cut in any field', () => {
  const text = 'x'.repeat(1_000_000);
  const nested = new Error(text, { cause: new Error(text) });
  for (const fields of [{ detail: text }, { cause: nested }, { cause: text }])
    expect(linesOf(fields).join('').length).toBeLessThan(12_000);
});

test('times are in UTC', () => {
  const { time } = JSON.parse(linesOf({})[0] ?? '') as { time: string };
  expect(time).toBe(new Date(time).toISOString());
});
