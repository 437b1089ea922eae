import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { decodeCbor } from '../../../../src/features/second-factors/webauthn/cbor.ts';
import { encodeCbor } from '../../../support/software-authenticator.ts';

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const key = fc.oneof(
  fc.integer({ min: -70_000, max: 70_000 }),
  fc.string({ maxLength: 12, unit: 'grapheme' }),
);
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.integer({ min: -(2 ** 32), max: 2 ** 32 - 1 }),
    fc.string({ unit: 'grapheme' }),
    fc.boolean(),
    fc.constant(null),
    bytes,
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(key, tie('value')), { maxLength: 4, selector: ([name]) => name })
      .map((e) => new Map(e)),
  ),
}));

describe('decodeCbor', () => {
  it('reads what was encoded, and says where it ends', () => {
    fc.assert(
      fc.property(anyValue, bytes, (value, rest) => {
        const encoded = encodeCbor(value);
        const decoded = decodeCbor(Buffer.concat([encoded, rest]));
        expect(decoded?.end).toBe(encoded.length);
        expect(decoded?.value).toEqual(value);
      }),
    );
  });

  it('throws for no bytes at all, and never reads past them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
        const decoded = decodeCbor(input);
        if (decoded) expect(decoded.end).toBeLessThanOrEqual(input.length);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['an array nested 10,000 deep', Buffer.alloc(10_000, 0x81)],
    ['an array nested 9 deep', Buffer.concat([Buffer.alloc(9, 0x81), Buffer.of(0)])],
    ['a byte string longer than the input', Buffer.from('5affffffff00', 'hex')],
    ['a byte string of 2^63 bytes', Buffer.from('5b8000000000000000', 'hex')],
    ['an array of 2^32 items', Buffer.from('9affffffff', 'hex')],
    ['a map of 2^53 entries', Buffer.from('bb001fffffffffffff', 'hex')],
    ['an integer of 64 bits', Buffer.from('1bffffffffffffffff', 'hex')],
    ['an indefinite length', Buffer.from('5f4100ff', 'hex')],
    ['a reserved length', Buffer.from('1c', 'hex')],
    ['a tag', Buffer.from('c000', 'hex')],
    ['a floating-point number', Buffer.from('f93c00', 'hex')],
    ['undefined', Buffer.from('f7', 'hex')],
    ['a text that is no UTF-8', Buffer.from('61ff', 'hex')],
    ['a map with the same key twice', Buffer.from('a201010102', 'hex')],
    ['the same key written in two lengths', Buffer.from('a20101180102', 'hex')],
    ['a map with bytes as key', Buffer.from('a1410100', 'hex')],
  ])('refuses %s', (_name, input) => {
    expect(decodeCbor(input)).toBeNull();
  });
});
