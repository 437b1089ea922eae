import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../support/any-character.ts';
import {
  each,
  type FieldRules,
  nested,
  optional,
  requireValid,
  text,
  unrestricted,
  uuid,
  violationsIn,
  wholeNumber,
} from '../../src/domain/validation.ts';
import { Rejected } from '../../src/domain/rejection.ts';

interface Request {
  displayName: string;
  userId: string;
  client?: { address: string; userAgent: string } | undefined;
  roles: string[];
  pageSize: number;
  all: boolean;
}

const rules: FieldRules<Request> = {
  displayName: text({ minBytes: 1, maxBytes: 16 }),
  userId: optional(uuid),
  client: nested<{ address: string; userAgent: string }>({
    address: optional(
      text({
        minBytes: 1,
        maxBytes: 45,
        form: { pattern: /[\d.:a-f]+/, description: 'an IPv4 or IPv6 address' },
      }),
    ),
    userAgent: text({ minBytes: 0, maxBytes: 8 }),
  }),
  roles: each(
    text({ minBytes: 1, maxBytes: 8, form: { pattern: /[a-z]+/, description: 'lower-case letters' } }),
    {
      maxItems: 2,
    },
  ),
  pageSize: wholeNumber({ min: 0, max: 100 }),
  all: unrestricted,
};
const good: Request = { displayName: 'Ada', userId: '', roles: ['admin'], pageSize: 0, all: true };

const says = (rule: typeof uuid, value: string) => rule(value, 'f').map(({ description }) => description);

describe('a request', () => {
  test('that is valid passes', () => {
    expect(() => requireValid(rules, good)).not.toThrow();
    expect(() =>
      requireValid(rules, {
        ...good,
        userId: '0190d6f2-8f3a-7c21-9d55-0242ac120002',
        client: { address: '2001:db8::1', userAgent: 'curl/8' },
      }),
    ).not.toThrow();
  });

  test('N12 is refused with every violation at once, by the field names of the proto file', () => {
    const bad: Request = {
      displayName: '',
      userId: 'x',
      client: { address: 'x', userAgent: 'much too long' },
      roles: ['ok', 'NOT'],
      pageSize: -1,
      all: true,
    };
    expect(violationsIn(rules, bad)).toEqual([
      { field: 'display_name', description: expect.stringContaining('empty') },
      { field: 'user_id', description: expect.stringContaining('UUID') },
      { field: 'client.address', description: expect.stringContaining('IPv4') },
      { field: 'client.user_agent', description: expect.stringContaining('8 bytes') },
      { field: 'roles[1]', description: expect.stringContaining('lower-case letters') },
      { field: 'page_size', description: expect.stringMatching(/\b0 .*\b100\b/) },
    ]);
    let thrown: unknown;
    try {
      requireValid(rules, bad);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(Rejected);
    expect((thrown as Rejected).rejection).toEqual({
      kind: 'field-invalid',
      violations: violationsIn(rules, bad),
    });
  });

  test('with too many items is not checked item by item', () => {
    expect(violationsIn(rules, { ...good, roles: ['!', '!', '!'] })).toEqual([
      { field: 'roles', description: expect.stringMatching(/\b2\b/) },
    ]);
  });
});

describe('text', () => {
  const rule = text({ minBytes: 2, maxBytes: 6 });

  test.each([
    ['ab', []],
    ['\u00e9', []],
    ['abcdef', []],
    ['a', [/\b2 bytes/]],
    ['', [/\b2 bytes/]],
    ['abcdefg', [/\b6 bytes/]],
    ['\u20ac\u20ac\u20ac', [/\b6 bytes/]],
    ['a\0b', [/control characters/]],
    ['a\nb', [/control characters/]],
    ['a\u001b[m', [/control characters/]],
    ['a\u007f', [/control characters/]],
    ['a\u0085', [/control characters/]],
    ['a\u2028', [/control characters/]],
    ['a\ud800', [/Unicode/]],
    ['\udc00\0', [/control characters/, /Unicode/]],
  ])('N12 %j', (value, expected) => {
    expect(says(rule, value)).toEqual(expected.map((part) => expect.stringMatching(part)));
  });

  test('a form must match the whole text even if its pattern is not anchored', () => {
    const letters = text({ minBytes: 0, maxBytes: 9, form: { pattern: /[a-z]*/, description: 'letters' } });
    expect(says(letters, 'abc')).toEqual([]);
    expect(says(letters, 'abc1')).toEqual([expect.stringContaining('letters')]);
    expect(says(letters, '1abc')).toEqual([expect.stringContaining('letters')]);
  });

  test('N12 accepted text is safe for PostgreSQL and for a log line, and refused text is not echoed', () => {
    const wide = text({ minBytes: 0, maxBytes: 64 });
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 80 }), (value) => {
        const violations = wide(value, 'f');
        const fine =
          Buffer.from(value, 'utf8').toString('utf8') === value &&
          Buffer.byteLength(value) <= 64 &&
          // eslint-disable-next-line no-control-regex -- the test looks for control characters
          !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
        expect(violations.length === 0).toBe(fine);
        if (value.length > 8) expect(JSON.stringify(violations)).not.toContain(value);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('uuid', () => {
  test.each([
    ['0190d6f2-8f3a-7c21-9d55-0242ac120002', true],
    ['0190D6F2-8F3A-7C21-9D55-0242AC120002', false],
    ['0190d6f28f3a7c219d550242ac120002', false],
    ['{0190d6f2-8f3a-7c21-9d55-0242ac120002}', false],
    ['0190d6f2-8f3a-7c21-9d55-0242ac12000g', false],
    ['0190d6f2-8f3a-7c21-9d55-0242ac120002\n', false],
    ['', false],
  ])('%j', (value, isGood) => {
    expect(says(uuid, value).length === 0).toBe(isGood);
  });

  test('accepts every UUID of any version', () => {
    fc.assert(fc.property(fc.uuid(), (value) => expect(says(uuid, value)).toEqual([])));
  });
});

test.each([NaN, 0.5, Infinity, -1, 101])('wholeNumber refuses %p', (value) => {
  expect(wholeNumber({ min: 0, max: 100 })(value, 'f')).toHaveLength(1);
});
