import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../support/any-character.ts';

import { notedUserAgent } from '../../src/domain/operation-call.ts';

/** 267 bytes, as an in-app browser on a phone sends it. */
const IN_APP_BROWSER =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F90 [FBAN/FBIOS;FBAV/468.1.0.33.71;FBBV/607234815;FBDV/iPhone15,3;FBMD/iPhone;FBSN/iOS;FBSV/17.5.1;FBSS/3;FBCR/;FBID/phone;FBLC/de_DE;FBOP/5;FBRV/609123456;XXX]';

describe('what is noted of a user agent', () => {
  test('the user agent of an in-app browser is cut to 256 bytes', () => {
    expect(Buffer.byteLength(IN_APP_BROWSER)).toBe(267);
    expect(notedUserAgent(IN_APP_BROWSER)).toBe(IN_APP_BROWSER.slice(0, 256));
  });

  test.each([
    ['nothing', '', null],
    ['a tab and a NUL', 'a\tb\0c', 'a\ufffdb\ufffdc'],
    ['a terminal sequence', '\u001b[2Jx', '\ufffd[2Jx'],
    ['line breaks', 'a\r\nb\u2028c', 'a\ufffd\ufffdb\ufffdc'],
    ['a lone surrogate', 'a\ud800', 'a\ufffd'],
    ['letters of two bytes, at the limit', '\u00e4'.repeat(130), '\u00e4'.repeat(128)],
    ['symbols of four bytes, at the limit', `abc${'\u{1f511}'.repeat(70)}`, `abc${'\u{1f511}'.repeat(63)}`],
  ])('%s', (_, sent, noted) => expect(notedUserAgent(sent)).toBe(noted));

  test('any text becomes at most 256 bytes that PostgreSQL can store', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 400 }), (sent) => {
        const noted = notedUserAgent(sent) ?? '';
        expect(Buffer.byteLength(noted)).toBeLessThanOrEqual(256);
        expect(noted.isWellFormed()).toBe(true);
        // eslint-disable-next-line no-control-regex -- these are what it is about
        expect(noted).not.toMatch(/[\0-\x1f\x7f-\x9f\u2028\u2029]/);
      }),
      { numRuns: 500 },
    );
  });
});
