import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { base32, RFC_4648_ALPHABET } from '../../../../src/crypto/base32.ts';
import {
  matchingStep,
  otpauthUri,
  TOTP_SECRET_BYTES,
  totpCode,
  totpSecretText,
  totpStep,
} from '../../../../src/features/second-factors/totp/totp.ts';
import { base32Bytes } from '../../../support/second-factors.ts';

const secret = Buffer.from('12345678901234567890');

describe('codes', () => {
  // RFC 6238 appendix B for SHA-1, of which the last six of eight digits are the code with six.
  test.each([
    [59, '94287082'],
    [1111111109, '07081804'],
    [1111111111, '14050471'],
    [1234567890, '89005924'],
    [2000000000, '69279037'],
    [20000000000, '65353130'],
  ])('M01 at %i is that of RFC 6238', (seconds, digits) => {
    expect(totpCode(secret, totpStep(seconds))).toBe(digits.slice(2));
  });

  // RFC 4226 appendix D.
  test('M01 of the first counters are those of RFC 4226', () => {
    const codes = Array.from({ length: 10 }, (_, counter) => totpCode(secret, counter));
    expect(codes).toEqual([
      '755224',
      '287082',
      '359152',
      '969429',
      '338314',
      '254676',
      '287922',
      '162583',
      '399871',
      '520489',
    ]);
  });
});

describe('matchingStep', () => {
  const now = 1_700_000_010;

  test.each([
    [-2, null],
    [-1, -1],
    [0, 0],
    [1, 1],
    [2, null],
  ])('M01 a code of %i steps from now is of step %p', (offset, expected) => {
    const step = totpStep(now) + offset;
    const found = matchingStep(secret, totpCode(secret, step), now);
    expect(found).toBe(expected === null ? null : step);
  });

  test('accepts nothing but the three codes', () => {
    const accepted = [-1, 0, 1].map((offset) => totpCode(secret, totpStep(now) + offset));
    const found: string[] = [];
    for (let number = 0; number < 1_000_000; number += 997) {
      const code = String(number).padStart(6, '0');
      if (matchingStep(secret, code, now) !== null) found.push(code);
    }
    expect(found.filter((code) => !accepted.includes(code))).toEqual([]);
  });

  test('takes texts that are no codes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(!/^\d{6}$/.test(text));
        expect(matchingStep(secret, text, now)).toBeNull();
      }),
    );
  });

  test('works at the beginning of time', () => {
    expect(matchingStep(secret, totpCode(secret, 0), 0)).toBe(0);
  });
});

test('the text of a secret is base32 without padding', () => {
  const bytes = fc.uint8Array({ minLength: TOTP_SECRET_BYTES, maxLength: TOTP_SECRET_BYTES });
  fc.assert(
    fc.property(bytes, (random) => {
      const text = totpSecretText(random);
      expect(text).toMatch(/^[A-Z2-7]{32}$/);
      expect(base32Bytes(text).equals(random)).toBe(true);
    }),
  );
});

// RFC 4648 section 10.
test.each([
  ['', ''],
  ['f', 'MY'],
  ['fo', 'MZXQ'],
  ['foo', 'MZXW6'],
  ['foob', 'MZXW6YQ'],
  ['fooba', 'MZXW6YTB'],
  ['foobar', 'MZXW6YTBOI'],
])('base32 of "%s" is that of RFC 4648', (text, expected) => {
  expect(base32(Buffer.from(text), RFC_4648_ALPHABET)).toBe(expected);
});

test('the URI keeps issuer and account apart whatever they contain', () => {
  const uri = new URL(otpauthUri(secret, '[::1]', 'a+b:c/?#&@example.com'));
  expect(uri.protocol).toBe('otpauth:');
  expect(uri.host).toBe('totp');
  const [issuer, account, ...more] = uri.pathname.slice(1).split(':').map(decodeURIComponent);
  expect([issuer, account, more]).toEqual(['[  1]', 'a+b:c/?#&@example.com', []]);
  expect(Object.fromEntries(uri.searchParams)).toEqual({
    secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
    issuer: '[  1]',
    algorithm: 'SHA1',
    digits: '6',
    period: '30',
  });
});
