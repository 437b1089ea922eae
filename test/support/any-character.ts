import fc from 'fast-check';

const codePoint = (min: number, max: number) =>
  fc.integer({ min, max }).map((point) => String.fromCodePoint(point));

/**
 * Any character, for `fc.string({ unit: anyCharacter })`: every code point that is no surrogate, with ASCII and combining
 * marks often. The `unit: 'binary'` of fast-check is the same set, but builds tables for two seconds in each test file.
 */
export const anyCharacter = fc.oneof(
  codePoint(0, 0x7f),
  codePoint(0x300, 0x36f),
  codePoint(0, 0xd7ff),
  codePoint(0xe000, 0x10ffff),
);
