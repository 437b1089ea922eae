import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalEmail, emailAddress } from '../../../src/features/users/email.ts';

const label = (length: number) => 'a'.repeat(length);

describe('L08 valid addresses and their canonical form', () => {
  test.each([
    ['ada@example.com', 'ada@example.com'],
    ['Ada.Lovelace@EXAMPLE.Com', 'ada.lovelace@example.com'],
    ['ada+news@example.com', 'ada+news@example.com'],
    ['a.d.a@example.com', 'a.d.a@example.com'],
    ["!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"],
    ['a@b', 'a@b'],
    ['root@localhost', 'root@localhost'],
    ['x@XN--BCHER-KVA.example', 'x@xn--bcher-kva.example'],
    ['x@1.example', 'x@1.example'],
    [
      `${label(64)}@${label(63)}.${label(63)}.${label(61)}`,
      `${label(64)}@${label(63)}.${label(63)}.${label(61)}`,
    ],
  ])('%s', (written, canonical) => {
    expect(canonicalEmail(written)).toEqual({ ok: true, email: canonical });
  });
});

describe('L08 an address outside ASCII is refused, never folded onto another', () => {
  test.each([
    ['the Kelvin sign', '\u212Aate@example.com'],
    ['the Kelvin sign in the domain', 'kate@\u212Aernel.example'],
    ['dotted capital I', 'al\u0130ce@example.com'],
    ['dotless i', 'al\u0131ce@example.com'],
    ['long s', 'pa\u017Fs@example.com'],
    ['a Cyrillic a', '\u0430da@example.com'],
    ['fullwidth letters', '\uFF41da@example.com'],
    ['a fullwidth at sign', 'ada\uFF20example.com'],
    ['an ideographic full stop', 'ada@example\u3002com'],
    ['a soft hyphen', 'a\u00ADda@example.com'],
    ['a zero-width joiner', 'a\u200Dda@example.com'],
    ['an international domain', 'ada@b\u00FCcher.example'],
    ['a lone surrogate', '\uD800da@example.com'],
  ])('%s', (_, written) => {
    expect(canonicalEmail(written)).toEqual({
      ok: false,
      description: 'must be ASCII without spaces; write an international domain in its xn-- form',
    });
  });
});

describe('invalid addresses', () => {
  test.each([
    '',
    'a@',
    '@example.com',
    'example.com',
    ' ada@example.com',
    'ada@example.com ',
    'ada@example.com\n',
    'ada\0@example.com',
    'a da@example.com',
    'ada@@example.com',
    'ada@eve@example.com',
    '.ada@example.com',
    'ada.@example.com',
    'a..da@example.com',
    '"ada"@example.com',
    'ada(comment)@example.com',
    'Ada <ada@example.com>',
    'ada@example.com.',
    'ada@.example.com',
    'ada@-example.com',
    'ada@example-.com',
    'ada@exa_mple.com',
    'ada@[192.0.2.1]',
    'ada@192.0.2.1',
    'ada@example.com:25',
    `${label(65)}@example.com`,
    `ada@${label(64)}.com`,
    `${label(64)}@${label(63)}.${label(63)}.${label(62)}`,
  ])('%j', (written) => {
    expect(canonicalEmail(written).ok).toBe(false);
  });
});

test('L08 canonicalising is idempotent, gives lower-case ASCII, and changes only case', () => {
  const local = fc.stringMatching(/^[A-Za-z0-9+_-]{1,20}(\.[A-Za-z0-9+_-]{1,20}){0,2}$/);
  const domain = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,20}(\.[A-Za-z][A-Za-z0-9]{0,20}){0,3}$/);
  fc.assert(
    fc.property(local, domain, (name, host) => {
      const once = canonicalEmail(`${name}@${host}`);
      if (!once.ok) throw new Error(once.description);
      expect(canonicalEmail(once.email)).toEqual(once);
      expect(once.email).toMatch(/^[\x21-\x40\x5b-\x7e]+$/);
      expect(once.email).toBe(`${name}@${host}`.toLowerCase());
    }),
  );
});

test('L08 for any text: no exception, nothing accepted that is not ASCII, and no echo of the text', () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })).map((parts) => parts.join('@')),
  );
  fc.assert(
    fc.property(anyText, (written) => {
      const result = canonicalEmail(written);
      if (result.ok) expect(written).toMatch(/^[\x21-\x7e]{3,254}$/);
      else if (written.length > 8) expect(result.description).not.toContain(written);
    }),
    { numRuns: 1000 },
  );
});

test('the field rule reports the field', () => {
  expect(emailAddress('ada@example.com', 'email')).toEqual([]);
  expect(emailAddress('ada', 'email')).toEqual([{ field: 'email', description: 'must have exactly one @' }]);
});
