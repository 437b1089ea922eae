import { randomBytes, randomUUID } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  looksLikeRefreshToken,
  MAX_GENERATION,
  parseRefreshToken,
  RefreshTokens,
} from '../../src/tokens/issue/refresh-token-codec.ts';

const tokens = new RefreshTokens(randomBytes(32));
const nonce = randomBytes(16);
const sessionId = randomUUID();
const token = tokens.make(nonce, sessionId, 7);
const PREFIX = 'prt_';

/** Whether the service would accept the text as a token of this session. */
function isTaken(text: string, held = tokens, itsNonce = nonce): boolean {
  const parsed = parseRefreshToken(text);
  return parsed !== null && parsed.sessionId === sessionId && held.isGenuine(itsNonce, parsed);
}

test('a token parses and is genuine for every session and generation', () => {
  const generation = fc.integer({ min: 1, max: MAX_GENERATION });
  fc.assert(
    fc.property(fc.uuid(), generation, fc.uint8Array({ minLength: 16, maxLength: 16 }), (id, count, salt) => {
      const made = tokens.make(salt, id, count);
      const parsed = parseRefreshToken(made);
      expect(parsed).toMatchObject({ sessionId: id, generation: count });
      expect(parsed !== null && tokens.isGenuine(salt, parsed)).toBe(true);
      expect(tokens.make(salt, id, count)).toBe(made);
    }),
  );
});

describe('S02 refused', () => {
  test('every bit flip in the decoded bytes', () => {
    const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect([bit, isTaken(PREFIX + flipped.toString('base64url'))]).toEqual([bit, false]);
    }
  });

  test('every bit flip in the text', () => {
    const text = Buffer.from(token, 'latin1');
    for (let bit = 0; bit < text.length * 8; bit += 1) {
      const flipped = Buffer.from(text);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect([bit, isTaken(flipped.toString('latin1'))]).toEqual([bit, false]);
    }
  });

  test('every other last character, whose unused bits carry no data', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const spellings = alphabet.split('').map((last) => token.slice(0, -1) + last);
    expect(spellings.filter((text) => isTaken(text))).toEqual([token]);
    const sameBytes = (text: string) =>
      Buffer.from(text.slice(PREFIX.length), 'base64url').equals(
        Buffer.from(token.slice(PREFIX.length), 'base64url'),
      );
    expect(spellings.filter(sameBytes).length).toBeGreaterThan(1);
  });

  test.each([
    ['nothing', ''],
    ['the prefix alone', PREFIX],
    ['no prefix', token.slice(PREFIX.length)],
    ['a prefix in capitals', token.replace('prt_', 'PRT_')],
    ['padding', `${token}==`],
    ['a line break', `${token}\n`],
    ['a blank', ` ${token}`],
    ['one character less', token.slice(0, -1)],
    ['one character more', `${token}A`],
    ['the other base64 alphabet', `${token.slice(0, -3)}+/A`],
    ['a text of a megabyte', PREFIX + 'A'.repeat(1_000_000)],
    ['a generation beyond an integer column', tokens.make(nonce, sessionId, MAX_GENERATION + 1)],
  ])('%s', (_name, text) => expect(parseRefreshToken(text)).toBeNull());

  test('any text except the token itself', () => {
    const form = fc.stringMatching(/^prt_[A-Za-z0-9_-]{70}$/);
    fc.assert(fc.property(fc.oneof(form, fc.string()), (text) => text === token || !isTaken(text)));
  });
});

test('S01 a token is genuine for one session, one nonce and one root key only', () => {
  expect(isTaken(token)).toBe(true);
  expect(isTaken(token, tokens, randomBytes(16))).toBe(false);
  expect(isTaken(token, new RefreshTokens(randomBytes(32)))).toBe(false);
  expect(isTaken(tokens.make(nonce, randomUUID(), 7))).toBe(false);
  expect(() => new RefreshTokens(randomBytes(31))).toThrow(RangeError);
});

test('a text is recognised as a refresh token by its prefix alone', () => {
  expect([looksLikeRefreshToken('prt_'), looksLikeRefreshToken('prt'), looksLikeRefreshToken('')]).toEqual([
    true,
    false,
    false,
  ]);
});
