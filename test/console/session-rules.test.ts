import { describe, expect, test } from '@jest/globals';

import {
  checkOf,
  claimsOf,
  farewellOf,
  isRenewedAfter,
  type Remedy,
  remedyFor,
  renewalDelayMs,
} from '../../console/src/session-rules.ts';

describe('the session of a page of the console', () => {
  test('reads the claims of a token, with letters of all alphabets and without those that are absent', () => {
    const token = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;
    expect(claimsOf(token({ sub: 'u', sid: 's', roles: ['ädmin', '管理'], acr: 'aal2' }))).toEqual({
      ...{ userId: 'u', sessionId: 's', roles: ['ädmin', '管理'], acr: 'aal2' },
    });
    expect(claimsOf(token({ sub: '???>>>' }))).toEqual({
      userId: '???>>>',
      sessionId: '',
      roles: [],
      acr: '',
    });
  });

  test('is renewed after three quarters of the duration of its token, and never at once for a very long one', () => {
    expect(renewalDelayMs(600)).toBe(450_000);
    expect(renewalDelayMs(10_000_000)).toBe(2 ** 31 - 1);
  });

  test('C58 ends only for a refusal of its refresh token; whatever else is answered, it may still live', () => {
    for (const reason of ['EXPIRED', 'REUSED', 'REVOKED', 'INVALID'])
      expect(farewellOf(`REFRESH_TOKEN_${reason}`, true)).toMatch(/Log in again/);
    expect(farewellOf('REFRESH_TOKEN_INVALID', false)).toBe('');
    for (const reason of [
      '',
      'STORE_UNAVAILABLE',
      'REFRESH_RATE_LIMITED',
      'CLAIMS_TOO_LONG',
      'FIELD_INVALID',
    ])
      expect(farewellOf(reason, true)).toBe(null);
  });

  test('C58 a refused call is repeated once for each remedy, so that it ends whatever the service answers', () => {
    const tried = new Set<Remedy>();
    expect(remedyFor('TOKEN_EXPIRED', tried)).toBe('renew');
    tried.add('renew');
    expect(remedyFor('TOKEN_REVOKED', tried)).toBe(null);
    expect(remedyFor('STEP_UP_REQUIRED', tried)).toBe('prove');
    tried.add('prove');
    for (const reason of ['STEP_UP_REQUIRED', 'TOKEN_EXPIRED', 'ADMIN_REQUIRED', ''])
      expect(remedyFor(reason, tried)).toBe(null);
  });

  test('C58 a token that is refused although it is new is renewed again only after a minute of checks', () => {
    const renewed = Array.from({ length: 26 }, (_, refusals) => refusals).filter(isRenewedAfter);
    expect(renewed).toEqual([1, 13, 25]);
  });

  test('takes only refusals of the token itself for the end of it', () => {
    expect(checkOf(null)).toBe('accepted');
    expect(checkOf('TOKEN_REVOKED')).toBe('refused');
    for (const reason of ['', 'TRUST_STALE', 'SERVER_OVERLOADED', 'FIELD_INVALID'])
      expect(checkOf(reason)).toBe('unanswered');
  });
});
