import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../support/any-character.ts';
import {
  checkNewPassword,
  MAX_PASSWORD_BYTES,
  MAX_PASSWORD_FORMS,
  type NewPasswordRules,
  normalisePassword,
  passwordForms,
  passwordToCheckAtLogin,
} from '../../src/passwords/password-policy.ts';

const common = new Set(['password', 'qwerty', '1234567890', 'iloveyou', 'leavemealone']);
const rules: NewPasswordRules = {
  field: 'new_password',
  minLength: 12,
  context: ['ada.lovelace', 'postern'],
  isCommon: (text) => common.has(text),
};

const faults = (password: string, changes: Partial<NewPasswordRules> = {}) =>
  checkNewPassword(password, { ...rules, ...changes }).map(({ description }) => description);
const atLogin = (password: string) => passwordToCheckAtLogin(password, 'password');

const tooLong = expect.stringMatching(/\b1024 bytes/) as unknown;
const tooShort = expect.stringMatching(/\b12 characters/) as unknown;
const tooCommon = expect.stringContaining('attackers') as unknown;
const tooClose = expect.stringContaining('e-mail') as unknown;

describe('L05 any text of enough characters is accepted', () => {
  test.each([
    'correct horse battery staple',
    '   leading and trailing   ',
    'twelve chars',
    'no digits at all',
    '90210 55318 77',
    'пароль из слов',
    '密碼密語通行證號碼安全鎖',
    '🦊🐢🦉🐝🦋🐌🐙🦀🐳🦔🐿🦕',
    'tab\tand\nline break',
    'x7$'.padEnd(64, 'kd92mQ'),
    'b'.padEnd(1024, 'another kd92mQ'),
  ])('%j', (password) => {
    expect(faults(password)).toEqual([]);
    expect(atLogin(password)).toEqual([]);
  });
});

describe('L05 length', () => {
  test('counts characters, not bytes or UTF-16 units, after normalisation', () => {
    expect(faults('🦊🐢🦉🐝🦋🐌🐙🦀🐳🦔🐿')).toEqual([tooShort]);
    expect(faults('e\u0301a\u0301i\u0301o\u0301u\u0301y\u0301')).toEqual([tooShort]);
    expect(faults('elevenchars')).toEqual([tooShort]);
    expect(faults('elevenchars', { minLength: 11 })).toEqual([]);
  });

  test('is at most 1024 bytes, counted after normalisation, when set and at login', () => {
    const hangul = '\uac01'.repeat(341);
    for (const good of ['é'.repeat(256) + 'àb'.padEnd(500, 'kd92mQ'), hangul.normalize('NFD') + 'x']) {
      expect(faults(good, { minLength: 1 })).not.toContainEqual(tooLong);
      expect(atLogin(good)).toEqual([]);
    }
    for (const long of ['ab'.padEnd(1025, 'kd92mQ'), `${hangul}xy`, 'é'.repeat(513), 'x'.repeat(4_000_000)]) {
      expect(faults(long)).toEqual([tooLong]);
      expect(atLogin(long)).toEqual([{ field: 'password', description: tooLong }]);
    }
  });

  test('normalising never shortens a text so much that the early refusal is wrong', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 50 }), (text) => {
        const decomposed = text.normalize('NFD');
        expect(decomposed.length).toBeLessThanOrEqual(3 * Buffer.byteLength(normalisePassword(text)));
      }),
    );
  });
});

test.each([
  ['', 'empty'],
  ['nul \0 inside of it', 'NUL'],
  ['surrogate \ud800 alone', 'Unicode'],
])('L06 %j is refused when set and at login', (password, word) => {
  const description = expect.stringContaining(word) as unknown;
  expect(faults(password)).toEqual([description]);
  expect(atLogin(password)).toEqual([{ field: 'password', description }]);
});

test('L05 a stricter policy locks nobody out: short and common passwords can still be checked', () => {
  expect(atLogin('x')).toEqual([]);
  expect(atLogin('password')).toEqual([]);
});

describe('L07 well-known passwords', () => {
  test.each([
    'leavemealone',
    'LeaveMeAlone',
    'password1234',
    'Password!23',
    '1234password',
    '123456789012',
    'qwertyqwerty',
    'PasswordPassword',
    'aaaaaaaaaaaaaa',
    'abcabcabcabc',
  ])('%s', (password) => {
    expect(faults(password, { minLength: 8 })).toEqual([tooCommon]);
  });

  test.each(['my password is a river', 'qwerty under the apple tree', 'iloveyou and the sea'])(
    'as a small part of a longer one they are good: %s',
    (password) => {
      expect(faults(password)).toEqual([]);
    },
  );
});

describe('L07 passwords made of words from the context of the user', () => {
  test.each([
    'postern12345',
    'Postern!2026',
    'ada.lovelace',
    'AdaLovelace99',
    'lovelace1843',
    'postern-postern',
  ])('%s', (password) => {
    expect(faults(password)).toContainEqual(tooClose);
  });

  test.each(['postern in the rain', 'the analytical engine of ada', 'canada goose nebula'])(
    'as a small part of a longer one they are good: %s',
    (password) => {
      expect(faults(password)).toEqual([]);
    },
  );

  test('context words of one or two letters are ignored', () => {
    expect(faults('al al al al al x', { context: ['al', ''] })).toEqual([]);
  });
});

test('all violations are reported at once, each with the name of the field', () => {
  expect(checkNewPassword('postern', { ...rules, isCommon: () => true })).toEqual(
    [tooShort, tooCommon, tooClose].map((description) => ({ field: 'new_password', description })),
  );
});

test('L06 normalising is NFC and idempotent', () => {
  fc.assert(
    fc.property(fc.string({ unit: anyCharacter, maxLength: 40 }), (text) => {
      expect(normalisePassword(normalisePassword(text))).toBe(normalisePassword(text));
      expect(normalisePassword(text.normalize('NFD'))).toBe(normalisePassword(text));
    }),
  );
});

describe('L06 the forms in which a typed password is compared with an imported hash', () => {
  const [composed, decomposed] = ['Zo\u00eb', 'Zoe\u0308'];

  test.each([
    ['ASCII', 'correct horse', ['correct horse']],
    ['composed, as most keyboards send it', composed, [composed, decomposed]],
    ['decomposed, as some keyboards and pasted file names have it', decomposed, [composed, decomposed]],
    ['a ligature', '\ufb01sh', ['\ufb01sh', 'fish']],
    ['full-width letters', '\uff30\uff41', ['\uff30\uff41', 'Pa']],
    ['Hangul typed by its parts', '\u1112\u1161\u11ab', ['\ud55c', '\u1112\u1161\u11ab']],
    ['a sign that NFC replaces for ever', '\u212b', ['\u00c5', '\u212b', 'A\u030a']],
    ['both accents and ligatures', '\u00e8\ufb01', ['\u00e8\ufb01', 'e\u0300\ufb01', '\u00e8fi']],
    [
      'half composed, with a ligature',
      '\u00e8e\u0300\ufb01',
      ['\u00e8\u00e8\ufb01', '\u00e8e\u0300\ufb01', 'e\u0300e\u0300\ufb01'],
    ],
  ])('%s', (_, typed, forms) => {
    expect(passwordForms(typed)).toEqual(forms);
    for (let max = 1; max <= forms.length; max++)
      expect(passwordForms(typed, max)).toEqual(forms.slice(0, max));
  });

  test('a form longer than a password may be is left out: the delay of refusals does not cover it', () => {
    // NFKC writes 18 characters for one, and NFD four.
    for (const character of ['\ufdfa', '\u1f82']) {
      const longest = character.repeat(MAX_PASSWORD_BYTES / 3);
      expect(atLogin(longest)).toEqual([]);
      expect(passwordForms(longest)).toEqual([longest]);
      expect(passwordForms(character)).toHaveLength(2);
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 200, maxLength: 600 }), (typed) => {
        for (const form of passwordForms(typed).slice(1)) {
          expect(Buffer.byteLength(form)).toBeLessThanOrEqual(MAX_PASSWORD_BYTES);
        }
      }),
    );
  });

  test('any text has one to three different forms, NFC first and what was typed among them', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 40 }), (typed) => {
        const forms = passwordForms(typed);
        expect(forms[0]).toBe(normalisePassword(typed));
        expect(forms).toContain(typed);
        expect(new Set(forms).size).toBe(forms.length);
        expect(forms.length).toBeLessThanOrEqual(MAX_PASSWORD_FORMS);
      }),
    );
  });
});

test('L05 for any text: no exception, no echo, and a text that can be set can be checked', () => {
  fc.assert(
    fc.property(fc.string({ unit: anyCharacter, maxLength: 2 * MAX_PASSWORD_BYTES }), (text) => {
      const found = faults(text);
      if (found.length === 0) expect(atLogin(text)).toEqual([]);
      if (text.length > 12) expect(found.join()).not.toContain(text);
    }),
  );
});
