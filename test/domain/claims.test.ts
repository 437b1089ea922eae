import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  audienceFault,
  checkClaims,
  claimFaults,
  expiryFault,
  type ClaimsProfile,
} from '../../src/domain/claims/claims.ts';

const now = 1_800_000_000;
const policy = {
  issuer: 'https://auth.example',
  audiences: ['postern', 'billing'],
  maxLifetimeSeconds: 600,
  skewSeconds: 5,
};
const user = {
  iss: 'https://auth.example',
  sub: 'u-1',
  aud: 'postern',
  exp: now + 600,
  iat: now,
  jti: 't-1',
  sid: 's-1',
  client_id: 'postern',
  roles: ['admin'],
};

function answer(changes: object, profile: ClaimsProfile = 'access', at = now): string {
  const verdict = checkClaims(profile, { ...user, ...changes }, policy, 'k', at);
  return verdict.ok ? 'ok' : verdict.refusal.reason;
}

describe('time claims at their limits', () => {
  test.each([
    [now + 604.999, 'ok'],
    [now + 605, 'TOKEN_EXPIRED'],
    [now + 10 ** 9, 'TOKEN_EXPIRED'],
    [now - 5, 'ok'],
    [now - 5.001, 'TOKEN_NOT_YET_VALID'],
  ])('T16 T17 at %d a token issued now is %s', (at, expected) => {
    expect(answer({}, 'access', at)).toBe(expected);
  });

  test('T17 an nbf within the clock skew is accepted', () => {
    expect(answer({ nbf: now + 5 })).toBe('ok');
    expect(answer({ nbf: now + 5.001 })).toBe('TOKEN_NOT_YET_VALID');
    expect(answer({ nbf: 'soon' })).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('T16 dates are numbers above 0 and below 2^40', () => {
    expect(answer({ exp: 2 ** 40 - 1, iat: 2 ** 40 - 2 }, 'access', 2 ** 40 - 3)).toBe('ok');
    expect(answer({ exp: 2 ** 40 })).toBe('TOKEN_CLAIMS_INVALID');
    expect(answer({ exp: 1, iat: 0.001 }, 'access', 1)).toBe('ok');
    for (const wrong of [
      0,
      -0,
      -1,
      NaN,
      Infinity,
      -Infinity,
      '1',
      1n,
      null,
      undefined,
      [now],
      { valueOf: () => now },
    ]) {
      expect(answer({ exp: wrong })).toBe('TOKEN_CLAIMS_INVALID');
      expect(answer({ iat: wrong })).toBe('TOKEN_CLAIMS_INVALID');
    }
  });

  test('T18 the maximum lifetime applies to our own tokens only', () => {
    expect(answer({ exp: now + 600 })).toBe('ok');
    expect(answer({ exp: now + 600.001 })).toBe('TOKEN_CLAIMS_INVALID');
    expect(answer({ exp: now + 31_536_000 }, 'shared-secret')).toBe('ok');
  });

  test('T24 cached claims expire when the token itself does', () => {
    const times = fc.record({
      exp: fc.double({ min: 200, max: 2 ** 40, noNaN: true, maxExcluded: true }),
      skew: fc.nat(60),
      at: fc.double({ min: -120, max: 120, noNaN: true }),
    });
    fc.assert(
      fc.property(times, ({ exp, skew, at }) => {
        const lax = { ...policy, maxLifetimeSeconds: Infinity, skewSeconds: skew };
        const early = checkClaims('access', { ...user, exp, iat: 0.001 }, lax, 'k', 0.5);
        if (!early.ok) throw new Error(early.refusal.detail);
        const later = checkClaims('access', { ...user, exp, iat: 0.001 }, lax, 'k', exp + at);
        expect(expiryFault(early.claims, skew, exp + at) === null).toBe(later.ok);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('missing claims', () => {
  const required = ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id', 'roles'] as const;

  test.each(required)('a token of our own needs %s', (name) => {
    expect(answer({ [name]: undefined })).toBe('TOKEN_CLAIMS_INVALID');
  });

  test.each(required)('a shared-secret token needs %s unless it is jti, client_id or roles', (name) => {
    const optional = ['jti', 'client_id', 'roles'].includes(name);
    expect(answer({ [name]: undefined }, 'shared-secret')).toBe(optional ? 'ok' : 'TOKEN_CLAIMS_INVALID');
    expect(answer({ [name]: null }, 'shared-secret')).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('T27 a refresh token that another program signed with the shared secret is refused', () => {
    for (const claim of [
      { type: 'refresh' },
      { token_type: 'refresh' },
      { token_use: 'id' },
      { purpose: 'reset' },
    ])
      expect(answer(claim, 'shared-secret')).toBe('TOKEN_CLAIMS_INVALID');
    expect(answer({ type: 'access', token_type: 'access' }, 'shared-secret')).toBe('ok');
    expect(answer({ type: 'anything' }, 'access')).toBe('ok');
  });

  test.each(['sub', 'exp', 'iat', 'aud'] as const)('%s is said to be missing', (name) => {
    const verdict = checkClaims('shared-secret', { ...user, [name]: undefined }, policy, null, now);
    expect(verdict).toMatchObject({
      refusal: { detail: expect.stringContaining(`has no ${name}`) as unknown },
    });
  });

  test('a token with sid is a user\u2019s, one without is a service\u2019s', () => {
    const typeOf = (changes: object, profile: ClaimsProfile) => {
      const verdict = checkClaims(profile, { ...user, ...changes }, policy, null, now);
      return verdict.ok && verdict.claims.subjectType;
    };
    expect(typeOf({}, 'access')).toBe('user');
    expect(typeOf({ sid: undefined }, 'access')).toBe('service');
    expect(typeOf({ sid: undefined }, 'shared-secret')).toBe('service');
    expect(typeOf({ sid: undefined, client_id: undefined }, 'shared-secret')).toBe('user');
  });
});

describe('T19 ids', () => {
  test.each(['sub', 'jti', 'sid', 'client_id'] as const)('%s', (name) => {
    for (const good of ['x', 'x'.repeat(256), 'Jörg 李 🔑', ' ', '\'"\\<>', '\u2028'])
      expect(answer({ [name]: good })).toBe('ok');
    for (const bad of [
      '',
      'x'.repeat(257),
      '\0',
      'a\nb',
      '\u007f',
      '\u009b',
      '\ud800',
      'a\udfff',
      0,
      1,
      true,
      null,
      [],
      ['x'],
      {},
    ]) {
      expect(answer({ [name]: bad })).toBe('TOKEN_CLAIMS_INVALID');
    }
  });
});

describe('T15 the audience', () => {
  test('must equal one of the accepted ones exactly', () => {
    for (const aud of ['postern', 'billing', ['billing'], ['x', 'postern']])
      expect(answer({ aud })).toBe('ok');
    for (const aud of [
      'Postern',
      'postern ',
      'x',
      '',
      [],
      [''],
      ['x'],
      [['postern']],
      ['postern', null],
      null,
      1,
      { postern: 1 },
      undefined,
    ]) {
      expect(answer({ aud })).toBe('TOKEN_CLAIMS_INVALID');
    }
  });

  test('that a caller requires must be in the token', () => {
    const verdict = checkClaims('access', { ...user, aud: ['postern', 'reports'] }, policy, 'k', now);
    if (!verdict.ok) throw new Error(verdict.refusal.detail);
    expect(audienceFault(verdict.claims, undefined)).toBeNull();
    expect(audienceFault(verdict.claims, 'reports')).toBeNull();
    for (const other of ['billing', '', 'Postern']) {
      expect(audienceFault(verdict.claims, other)).toMatchObject({ reason: 'TOKEN_CLAIMS_INVALID' });
    }
  });
});

test('every fault is listed, and the first one is the reason of the refusal', () => {
  const broken = { ...user, sub: '', iss: 'x', aud: [], exp: now - 100, iat: now + 100, nbf: now + 100 };
  const reasons = [...claimFaults('access', broken, policy, now)].map(
    ({ reason, detail }) => `${reason} ${detail.split(' ')[0] ?? ''}`,
  );
  expect(reasons).toEqual([
    'TOKEN_CLAIMS_INVALID sub',
    'TOKEN_CLAIMS_INVALID iss',
    'TOKEN_CLAIMS_INVALID aud',
    'TOKEN_EXPIRED the',
    'TOKEN_NOT_YET_VALID nbf',
    'TOKEN_NOT_YET_VALID iat',
  ]);
  expect(answer(broken)).toBe('TOKEN_CLAIMS_INVALID');
});

test('arbitrary claims never throw, and accepted claims have the right types', () => {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom(...Object.values(user)), fc.double());
  const claims = fc.record(
    Object.fromEntries([...Object.keys(user), 'nbf', 'user_id'].map((name) => [name, value])),
    { requiredKeys: [] },
  );
  const profile = fc.constantFrom<ClaimsProfile>('access', 'shared-secret', 'legacy');
  fc.assert(
    fc.property(claims, profile, (given, rules) => {
      const verdict = checkClaims(rules, given, policy, null, now);
      if (!verdict.ok)
        expect(verdict.refusal.reason).toMatch(/^TOKEN_(CLAIMS_INVALID|EXPIRED|NOT_YET_VALID)$/);
      else
        expect([typeof verdict.claims.subject, typeof verdict.claims.expiresAtSeconds]).toEqual([
          'string',
          'number',
        ]);
    }),
    { numRuns: 2000 },
  );
});
