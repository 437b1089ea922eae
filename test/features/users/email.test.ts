import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../support/any-character.ts';
import { domainToUnicode } from 'node:url';
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
    ['Taro..X@docomo.example', 'taro..x@docomo.example'],
    ['taro.@docomo.example', 'taro.@docomo.example'],
    ['.taro@ezweb.example', '.taro@ezweb.example'],
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

describe('L08 a domain in Unicode is the same address as its xn-- form', () => {
  // As Python has them: `idna.encode(domain, uts46=True)` of the package idna 3.13.
  test.each([
    ['in lower case', 'ada@b\u00fccher.example', 'ada@xn--bcher-kva.example'],
    ['in capitals', 'Ada@B\u00dcCHER.Example', 'ada@xn--bcher-kva.example'],
    [
      'from a keyboard that sends accents apart (NFD)',
      'ada@bu\u0308cher.example',
      'ada@xn--bcher-kva.example',
    ],
    [
      'beside a label that has its xn-- form',
      'a@B\u00fccher.XN--BCHER-KVA.example',
      'a@xn--bcher-kva.xn--bcher-kva.example',
    ],
    ['with sharp s, which is not ss', 'ada@stra\u00dfe.example', 'ada@xn--strae-oqa.example'],
    ['Greek, with its final sigma', 'ada@\u03b2\u03cc\u03bb\u03bf\u03c2.example', 'ada@xn--nxasmm1c.example'],
    ['Japanese', 'taro..x@\u4f8b\u3048.\u30c6\u30b9\u30c8', 'taro..x@xn--r8jz45g.xn--zckzah'],
    ['Arabic', 'ada@\u0639\u0631\u0628\u064a.example', 'ada@xn--ngbrx4e.example'],
    ['Russian', 'ada@\u043f\u0440\u0430\u0432\u0434\u0430.example', 'ada@xn--80aafi6cg.example'],
  ])('%s', (_, written, canonical) => {
    expect(canonicalEmail(written)).toEqual({ ok: true, email: canonical });
    expect(canonicalEmail(canonical)).toEqual({ ok: true, email: canonical });
  });

  test('letters of another script that look the same are another address, and look otherwise where it is shown', () => {
    expect(canonicalEmail('ada@\u0430\u0440\u0440\u04cf\u0435.example')).toEqual({
      ok: true,
      email: 'ada@xn--80ak6aa92e.example',
    });
  });

  test.each([
    ['the Kelvin sign', 'kate@\u212Aernel.example'],
    ['fullwidth letters', 'ada@\uFF45xample.com'],
    ['fullwidth digits', 'ada@\uFF11\uFF12.example'],
    ['a ligature', 'ada@\uFB01.example'],
    ['long s', 'ada@pa\u017Fs.example'],
    ['an ideographic full stop', 'ada@example\u3002com'],
    ['a soft hyphen', 'ada@exa\u00ADmple.com'],
    ['a soft hyphen in an international domain', 'ada@b\u00fc\u00ADcher.example'],
    ['a zero-width space', 'ada@exam\u200Bple.com'],
    ['a zero-width joiner', 'ada@exam\u200Dple.com'],
    ['a joiner that a script has a use for', 'ada@\u0915\u094d\u200d\u0937.example'],
    ['a variation selector', 'ada@\u2764\ufe0f.example'],
    ['a byte order mark', 'ada@\ufeffexample.com'],
    ['a right-to-left mark', 'ada@b\u00fccher\u200F.example'],
    ['a slash', 'ada@b\u00fccher.example/x'],
    ['a percent sign', 'ada@b\u00fc%63her.example'],
    ['a tab', 'ada@b\u00fc\tcher.example'],
    ['a port', 'ada@b\u00fccher.example:25'],
    ['an underscore', 'ada@b\u00fc_cher.example'],
    ['a lone surrogate', 'ada@\uD800.example'],
    ['an unassigned character', 'ada@\u0378.example'],
    ['a label that is too long', `ada@${'\u00fc'.repeat(70)}.example`],
    ['a fullwidth @', 'ada\uFF20b\u00fccher.example'],
  ])('refused rather than folded onto another: %s', (_, written) => {
    expect(canonicalEmail(written).ok).toBe(false);
  });

  test('whatever is written, two addresses are one only if case and normalisation are all that differs', () => {
    const label = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
    const folded = (text: string) =>
      Array.from(text.normalize('NFC'), (letter) => letter.toLowerCase())
        .join('')
        .normalize('NFC');
    fc.assert(
      fc.property(label, (name) => {
        const result = canonicalEmail(`ada@${name}.example`);
        if (!result.ok || !/^ada@xn--[^.]*\.example$/.test(result.email)) return;
        if (/^[\x21-\x7e]*$/.test(name)) return;
        expect(domainToUnicode(result.email.slice('ada@'.length))).toBe(`${folded(name)}.example`);
        expect(canonicalEmail(result.email)).toEqual(result);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('L08 a mailbox name outside ASCII is refused, never folded onto another', () => {
  test.each([
    ['the Kelvin sign', '\u212Aate@example.com'],
    ['dotted capital I', 'al\u0130ce@example.com'],
    ['dotless i', 'al\u0131ce@example.com'],
    ['long s', 'pa\u017Fs@example.com'],
    ['a Cyrillic a', '\u0430da@example.com'],
    ['fullwidth letters', '\uFF41da@example.com'],
    ['a soft hyphen', 'a\u00ADda@example.com'],
    ['a zero-width joiner', 'a\u200Dda@example.com'],
    ['a lone surrogate', '\uD800da@example.com'],
  ])('%s', (_, written) => {
    expect(canonicalEmail(written)).toEqual({
      ok: false,
      description: 'must be ASCII without spaces before the @',
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

test('L08 for any text: no exception, a canonical form in ASCII, and no echo of the text', () => {
  const anyText = fc.oneof(
    fc.string({ unit: anyCharacter, maxLength: 300 }),
    fc
      .tuple(fc.string({ unit: anyCharacter }), fc.string({ unit: anyCharacter }))
      .map((parts) => parts.join('@')),
  );
  fc.assert(
    fc.property(anyText, (written) => {
      const result = canonicalEmail(written);
      if (result.ok) expect(result.email).toMatch(/^[\x21-\x40\x5b-\x7e]{3,254}$/);
      else if (written.length > 8) expect(result.description).not.toContain(written);
    }),
    { numRuns: 1000 },
  );
});

test('the field rule reports the field', () => {
  expect(emailAddress('ada@example.com', 'email')).toEqual([]);
  expect(emailAddress('ada', 'email')).toEqual([{ field: 'email', description: 'must have exactly one @' }]);
});
