import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseByteSize, parseCount, parseDurationMs } from '../../src/config/quantities.ts';

describe('durations', () => {
  test.each([
    ['500ms', 500],
    ['10s', 10_000],
    ['10m', 600_000],
    ['12h', 43_200_000],
    ['30d', 2_592_000_000],
    ['0s', 0],
  ])('%s', (text, ms) => expect(parseDurationMs(text)).toBe(ms));

  test.each([
    '',
    '10',
    's',
    '10 s',
    ' 10s',
    '10s ',
    '10S',
    '1.5h',
    '-1s',
    '+1s',
    '1e3s',
    '010s',
    '1h30m',
    '10s\n',
    '٣s',
    '1234567890s',
  ])('refuses %j', (text) => expect(parseDurationMs(text)).toBeNull());

  test('is null or a whole number for any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ms = parseDurationMs(text);
        return ms === null || (Number.isSafeInteger(ms) && ms >= 0);
      }),
    );
  });

  test('reads every number in every unit', () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), fc.constantFrom('ms', 's', 'm', 'h', 'd'), (count, unit) => {
        const one = parseDurationMs(`1${unit}`) ?? NaN;
        expect(parseDurationMs(`${count}${unit}`)).toBe(count * one);
      }),
    );
  });
});

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['512KiB', 524_288],
    ['64MiB', 67_108_864],
    ['1GiB', 1_073_741_824],
  ])('%s', (text, bytes) => expect(parseByteSize(text)).toBe(bytes));

  test.each(['', '1', '00', '0KiB', '64MB', '64mib', '64 MiB', '-1KiB', '1.5GiB', '1TiB'])(
    'refuses %j',
    (text) => expect(parseByteSize(text)).toBeNull(),
  );
});

test.each([
  ['0', 0],
  ['12', 12],
  ['', null],
  ['012', null],
  ['-1', null],
  ['1.0', null],
  ['0x10', null],
  ['1e3', null],
  ['9999999999', null],
])('the count %j is %j', (text, count) => expect(parseCount(text)).toBe(count));
