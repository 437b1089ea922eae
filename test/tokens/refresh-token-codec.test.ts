import { randomBytes, randomUUID } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  looksLikeRefreshToken,
  MAX_GENERATION,
  parseRefreshToken,
  type PresentedRefreshToken,
  RefreshTokens,
} from '../../src/tokens/issue/refresh-token-codec.ts';
import {
  parseRefreshToken as parseEarlier,
  RefreshTokens as EarlierTokens,
} from './release-before/refresh-token-codec.mjs';

const forms = ['1', '2'] as const;
const PREFIX = 'prt_';
const rootKey = randomBytes(32);
const nonce = randomBytes(32);
const sessionId = randomUUID();

/** Whether the service would accept the text as a token of this session. */
function isTaken(text: string, held = new RefreshTokens(rootKey), itsNonce = nonce): boolean {
  const parsed = parseRefreshToken(text);
  return parsed !== null && parsed.sessionId === sessionId && held.isGenuine(itsNonce, parsed);
}

describe.each(forms)('form %s', (form) => {
  const tokens = new RefreshTokens(rootKey, form);
  const token = tokens.make(nonce, sessionId, 7);

  test('a token parses and is genuine for every session, generation and nonce, also of 16 bytes', () => {
    const generation = fc.integer({ min: 1, max: MAX_GENERATION });
    const anyNonce = fc
      .constantFrom(16, 32)
      .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
    fc.assert(
      fc.property(fc.uuid(), generation, anyNonce, (id, count, salt) => {
        const made = tokens.make(salt, id, count);
        const parsed = parseRefreshToken(made);
        expect(parsed).toMatchObject({ sessionId: id, generation: count });
        expect(parsed?.nonce).toEqual(form === '1' ? null : Buffer.from(salt.subarray(0, 16)));
        expect(parsed !== null && tokens.mayBeGenuine(parsed) && tokens.isGenuine(salt, parsed)).toBe(true);
        expect(made).toHaveLength(74);
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
      const text = fc.oneof(fc.stringMatching(/^prt_[A-Za-z0-9_-]{70}$/), fc.string());
      fc.assert(fc.property(text, (any) => any === token || !isTaken(any)));
    });
  });

  test('S01 a token is genuine for one session, one nonce and one root key only', () => {
    expect(isTaken(token)).toBe(true);
    expect(isTaken(token, tokens, randomBytes(32))).toBe(false);
    expect(isTaken(token, new RefreshTokens(randomBytes(32)))).toBe(false);
    expect(isTaken(tokens.make(nonce, randomUUID(), 7))).toBe(false);
    expect(() => new RefreshTokens(randomBytes(31), form)).toThrow(RangeError);
  });

  test('either instance accepts the tokens of the other, whatever it makes itself', () => {
    for (const other of forms) expect(isTaken(token, new RefreshTokens(rootKey, other))).toBe(true);
  });
});

describe('form 2', () => {
  const token = new RefreshTokens(rootKey, '2').make(nonce, sessionId, 7);
  const parsed = parsedOf(token);

  test('S01 its MAC is judged without the session: neither the nonce alone nor the root key alone makes a token', () => {
    expect(new RefreshTokens(rootKey).mayBeGenuine(parsed)).toBe(true);
    // Who reads the database has the nonce, not the root key.
    const withoutRoot = new RefreshTokens(randomBytes(32));
    expect(new RefreshTokens(rootKey).mayBeGenuine(parsedOf(withoutRoot.make(nonce, sessionId, 7)))).toBe(
      false,
    );
    // Who has the root key can only guess the nonce: 128 random bits, all of which are compared.
    for (let bit = 0; bit < 128; bit += 1) {
      const guess = Buffer.from(nonce);
      guess[bit >> 3] = (guess[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const guessed = new RefreshTokens(rootKey).make(guess, sessionId, 7);
      expect(new RefreshTokens(rootKey).mayBeGenuine(parsedOf(guessed))).toBe(true);
      expect([bit, isTaken(guessed)]).toEqual([bit, false]);
    }
    expect([parsed.nonce?.length, parsed.mac.length]).toEqual([16, 16]);
  });

  test('a token of one form with the mark of the other is refused', () => {
    for (const form of forms) {
      const bytes = Buffer.from(
        new RefreshTokens(rootKey, form).make(nonce, sessionId, 7).slice(4),
        'base64url',
      );
      bytes[16] = (bytes[16] ?? 0) ^ 0x80;
      expect(isTaken(PREFIX + bytes.toString('base64url'))).toBe(false);
    }
  });

  test('the release before makes and accepts form 1 only', () => {
    const before = new EarlierTokens(rootKey);
    expect(before.make(nonce, sessionId, 7)).toBe(new RefreshTokens(rootKey, '1').make(nonce, sessionId, 7));
    expect(isTaken(before.make(nonce, sessionId, 7))).toBe(true);
    expect(parseEarlier(token)).toBeNull();
    const userId = randomUUID();
    const itsNonce = before.nonceFor(userId, randomBytes(16));
    expect(new RefreshTokens(rootKey).isNonceOf(userId, itsNonce)).toBe(true);
  });
});

function parsedOf(text: string): PresentedRefreshToken {
  const parsed = parseRefreshToken(text);
  if (!parsed) throw new Error(`${text} does not parse`);
  return parsed;
}

test('a text is recognised as a refresh token by its prefix alone', () => {
  expect([looksLikeRefreshToken('prt_'), looksLikeRefreshToken('prt'), looksLikeRefreshToken('')]).toEqual([
    true,
    false,
    false,
  ]);
});
