import { describe, expect, test } from '@jest/globals';

import {
  CHALLENGE_SECONDS,
  PasskeyChallenges,
} from '../../../../src/features/second-factors/passkeys/passkey-challenges.ts';

const ann = '0190c0de-0000-7000-8000-000000000001';
const bob = '0190c0de-0000-7000-8000-000000000002';
const login = { purpose: 'login', userId: null } as const;
const registration = (userId: string) => ({ purpose: 'registration', userId }) as const;

let nowMs = 1_800_000_000_500;
const key = Buffer.alloc(32, 5);
const challenges = new PasskeyChallenges(
  () => key,
  () => nowMs,
);

describe('PasskeyChallenges', () => {
  test('opens what it issued, at every instance with the same key', () => {
    const issued = challenges.issue(login);
    const elsewhere = new PasskeyChallenges(
      () => Buffer.from(key),
      () => nowMs,
    );
    const opened = elsewhere.open(issued.token, login);
    if (typeof opened === 'string') throw new Error(opened);
    expect(Buffer.from(opened.challenge).toString('base64url')).toBe(issued.challenge);
    expect(opened.challenge).toHaveLength(32);
    expect(opened.usedOnce).toMatchObject({
      purpose: 'passkey-challenge',
      expiresAtSeconds: issued.expiresAt.getTime() / 1000,
    });
  });

  test('issues another challenge each time', () => {
    const issued = Array.from({ length: 100 }, () => challenges.issue(login).challenge);
    expect(new Set(issued).size).toBe(100);
  });

  test('M15 opens a challenge for its purpose and its user alone', () => {
    const forAnn = challenges.issue(registration(ann)).token;
    expect(challenges.open(forAnn, registration(bob))).toBe('unknown');
    expect(challenges.open(forAnn, login)).toBe('unknown');
    expect(challenges.open(challenges.issue(login).token, registration(ann))).toBe('unknown');
    expect(typeof challenges.open(forAnn, registration(ann))).toBe('object');
  });

  test('M15 refuses a challenge after five minutes', () => {
    const { token, expiresAt } = challenges.issue(login);
    const issuedMs = nowMs;
    expect(expiresAt.getTime() - issuedMs).toBeLessThanOrEqual(CHALLENGE_SECONDS * 1000);
    nowMs = expiresAt.getTime() - 1;
    expect(typeof challenges.open(token, login)).toBe('object');
    nowMs = expiresAt.getTime();
    expect(challenges.open(token, login)).toBe('expired');
    nowMs = issuedMs;
  });

  test('M15 refuses a token of which anything was changed, and one of another key', () => {
    const { token } = challenges.issue(login);
    const bytes = Buffer.from(token, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(challenges.open(changed.toString('base64url'), login)).toBe('unknown');
    }
    for (const other of ['', token.slice(1), `${token}A`, `${token.slice(0, -1)}=`, ` ${token.slice(1)}`])
      expect(challenges.open(other, login)).toBe('unknown');
    const stranger = new PasskeyChallenges(
      () => Buffer.alloc(32, 6),
      () => nowMs,
    );
    expect(challenges.open(stranger.issue(login).token, login)).toBe('unknown');
  });
});
