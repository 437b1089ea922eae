import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  makeRecoveryCode,
  parsePresentedCode,
  RECOVERY_CODE_RANDOM_BYTES,
} from '../../../../src/features/second-factors/recovery-codes/recovery-code.ts';

const randomBytes = fc.uint8Array({
  minLength: RECOVERY_CODE_RANDOM_BYTES,
  maxLength: RECOVERY_CODE_RANDOM_BYTES,
});

test('M04 a recovery code has 50 bits in characters that can be told apart', () => {
  fc.assert(
    fc.property(randomBytes, (random) => {
      const code = makeRecoveryCode(random);
      expect(code).toMatch(/^[0-9a-hjkmnp-tv-z]{5}-[0-9a-hjkmnp-tv-z]{5}$/);
    }),
  );
  const zeros = makeRecoveryCode(new Uint8Array(7));
  for (let bit = 0; bit < 56; bit += 1) {
    const random = new Uint8Array(7);
    random[bit >> 3] = 0x80 >> (bit & 7);
    expect(makeRecoveryCode(random) !== zeros).toBe(bit < 50);
  }
});

test('a recovery code is read as people type it', () => {
  const messy = fc.array(fc.constantFrom('', ' ', '-', '\t', '\u00a0'), { minLength: 11, maxLength: 11 });
  fc.assert(
    fc.property(randomBytes, messy, fc.boolean(), (random, between, isUpper) => {
      const code = makeRecoveryCode(random);
      const typed = Array.from(code, (letter, index) => {
        const looksAlike = { '1': index % 2 === 0 ? 'l' : 'I', '0': 'o' }[letter] ?? letter;
        return (isUpper ? looksAlike.toUpperCase() : looksAlike) + (between[index] ?? '');
      }).join('');
      expect(parsePresentedCode(typed)).toEqual({
        kind: 'recovery',
        code: code.replace('-', '').toUpperCase(),
      });
    }),
  );
});

test.each([
  ['123456', { kind: 'totp', code: '123456' }],
  [' 123 456 ', { kind: 'totp', code: '123456' }],
  ['123-456', { kind: 'totp', code: '123456' }],
  ['000000', { kind: 'totp', code: '000000' }],
  ['12345', { kind: 'malformed' }],
  ['1234567', { kind: 'malformed' }],
  ['', { kind: 'malformed' }],
  ['uuuuu-uuuuu', { kind: 'malformed' }],
  ['abcde-fghjkm', { kind: 'malformed' }],
  ['١٢٣٤٥٦', { kind: 'malformed' }],
  ['１２３４５６', { kind: 'malformed' }],
  ['ſſſſſ-ſſſſſ', { kind: 'malformed' }],
])('reads "%s"', (text, expected) => {
  expect(parsePresentedCode(text)).toEqual(expected);
});
