import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../support/any-character.ts';
import { parseStrictJson } from '../../src/tokens/verify/strict-json.ts';

/** Objects without a prototype do not compare equal to others; this adds one, and keeps `__proto__` members. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

describe('parseStrictJson', () => {
  test('reads back what JSON.stringify writes', () => {
    const object = fc.dictionary(
      fc.string({ unit: anyCharacter }),
      fc.jsonValue({ maxDepth: 5, stringUnit: anyCharacter }),
    );
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        expect(plain(parseStrictJson(JSON.stringify(value, null, indent)))).toEqual(plain(value));
      }),
      { numRuns: 1000 },
    );
  });

  test('accepts no text that JSON.parse refuses, and gives the same values', () => {
    const pieces = fc.constantFrom('{', '}', '[', ']', ':', ',', '"', '"a"', '"b"', '"\\u0061"', '1', '-', '0', '.5', 'e9', 'true', 'null', ' ', '\n', '\\', '\ufeff', '"\\ud800"'); // prettier-ignore
    const text = fc.array(pieces, { maxLength: 14 }).map((parts) => `{"x":${parts.join('')}`);
    let accepted = 0;
    fc.assert(
      fc.property(text, (candidate) => {
        const read = parseStrictJson(candidate);
        if (read === null) return;
        accepted++;
        expect(plain(read)).toEqual(plain(JSON.parse(candidate)));
      }),
      { numRuns: 20_000 },
    );
    expect(accepted).toBeGreaterThan(20);
  });

  test.each([
    '{"a":1,"a":1}',
    '{"a":1,"b":2,"a":3}',
    '{"a":1,"\\u0061":1}',
    '{"\\u0061":1,"a":1}',
    '{"x":{"a":1,"a":2}}',
    '{"x":[{"y":{"a":1,"\\u0061":2}}]}',
    '{"__proto__":1,"__proto__":1}',
    '{"":1,"":1}',
  ])('T10 refuses a duplicate member: %s', (text) => {
    expect(parseStrictJson(text)).toBeNull();
  });

  test('the same name in two objects is not a duplicate, and neither is an inherited name', () => {
    expect(plain(parseStrictJson('{"a":{"a":[{"a":1},{"a":2}]},"toString":1,"constructor":2}'))).toEqual({
      a: { a: [{ a: 1 }, { a: 2 }] },
      toString: 1,
      constructor: 2,
    });
  });

  test('__proto__ is an ordinary member', () => {
    const read = parseStrictJson('{"__proto__":{"sub":"admin"}}');
    expect(read?.sub).toBeUndefined();
    expect(Object.keys(read ?? {})).toEqual(['__proto__']);
  });

  test.each([
    [16, true],
    [17, false],
    [4000, false],
  ])('%i levels: %s', (depth, accepted) => {
    const objects = '{"a":'.repeat(depth - 1) + '{}' + '}'.repeat(depth - 1);
    const lists = `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(parseStrictJson(objects) !== null).toBe(accepted);
    expect(parseStrictJson(lists) !== null).toBe(accepted);
  });

  test('a number outside the range of doubles is Infinity, never clamped', () => {
    expect(parseStrictJson('{"a":1e400,"b":-1e400,"c":1e-400}')).toMatchObject({
      a: Infinity,
      b: -Infinity,
      c: 0,
    });
  });
});
