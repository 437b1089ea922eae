import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isCanonicalBase64url, splitCompactJws } from '../../src/tokens/verify/compact-jws.ts';

describe('splitCompactJws', () => {
  test('returns the segments of any three byte strings', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(bytes, bytes, bytes, (...parts) => {
        const [header, payload, signature] = parts.map((part) => Buffer.from(part).toString('base64url'));
        const form = splitCompactJws([header, payload, signature].join('.'));
        expect(form).toEqual({ ok: true, header, payload, signature });
      }),
    );
  });

  test('T02 reads 8192 bytes and refuses 8193', () => {
    const token = (length: number) => `AAAA.${'A'.repeat(length - 10)}.AAAA`;
    expect(splitCompactJws(token(8192 + 2)).ok).toBe(false);
    expect(splitCompactJws(token(8190))).toMatchObject({ ok: true });
    expect(splitCompactJws(token(8193))).toMatchObject({ refusal: { reason: 'TOKEN_TOO_LARGE' } });
    expect(splitCompactJws('\u20ac'.repeat(2731))).toMatchObject({ refusal: { reason: 'TOKEN_TOO_LARGE' } });
    expect(splitCompactJws('\u20ac'.repeat(2730))).toMatchObject({ refusal: { reason: 'TOKEN_MALFORMED' } });
  });
});

describe('isCanonicalBase64url', () => {
  test('T01 accepts exactly the texts that decode and encode back to themselves', () => {
    const character = fc.constantFrom(...'ABQgwxyz0189-_+/= \n'.split(''), 'é', '\u0141');
    fc.assert(
      fc.property(
        fc.string({ unit: character, maxLength: 9 }),
        (text) =>
          isCanonicalBase64url(text) === (Buffer.from(text, 'base64url').toString('base64url') === text),
      ),
      { numRuns: 20_000 },
    );
  });

  test('T01 bytes have one encoding: every other last character is refused', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('');
    expect(alphabet.filter((last) => isCanonicalBase64url(`A${last}`))).toEqual(['A', 'Q', 'g', 'w']);
    expect(alphabet.filter((last) => isCanonicalBase64url(`AA${last}`))).toHaveLength(16);
    expect(alphabet.filter((last) => isCanonicalBase64url(`AAA${last}`))).toHaveLength(64);
    expect(alphabet.filter((last) => isCanonicalBase64url(`AAAA${last}`))).toEqual([]);
  });
});
