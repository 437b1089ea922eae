import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { decodeText, NotText, withoutFinalLineEnds } from '../../src/domain/decode-text.ts';

describe('text from files and pipes', () => {
  test('N24 any text is the same in UTF-8 and UTF-16, with and without byte order marks', () => {
    const anyText = fc.string({ unit: 'grapheme' }).filter((text) => !text.startsWith('\ufeff'));
    fc.assert(
      fc.property(anyText, (text) => {
        const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le');
        for (const bytes of [
          Buffer.from(text),
          Buffer.from(`\ufeff${text}`),
          Buffer.from(`\ufeff\ufeff${text}`),
          utf16,
          Buffer.from(utf16).swap16(),
        ])
          expect(decodeText(bytes)).toBe(text);
      }),
    );
  });

  test('a byte order mark within the text stays', () =>
    expect(decodeText(Buffer.from('a\ufeff'))).toBe('a\ufeff'));

  test.each(['ff', '70ff', 'c3', 'eda080', 'fffe70', 'feff00', 'fffe00d8'])(
    'the bytes %s are refused',
    (hex) => {
      expect(() => decodeText(Buffer.from(hex, 'hex'))).toThrow(NotText);
    },
  );
});

test('line ends after a value are removed in linear time; spaces and inner line ends stay', () => {
  expect(withoutFinalLineEnds(' a\nb \t\n\r\n\r')).toBe(' a\nb \t');
  expect(withoutFinalLineEnds('\n\r\n')).toBe('');
  const text = `${'\n'.repeat(4_000_000)}x`;
  const started = performance.now();
  expect(withoutFinalLineEnds(text)).toBe(text);
  expect(performance.now() - started).toBeLessThan(1_000);
});
