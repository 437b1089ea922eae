import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  type AuthenticationClaims,
  authenticationFault,
  authenticationLevels,
  type AuthenticationRequirement,
  MAX_AUTH_AGE_SECONDS,
  NO_AUTHENTICATION_REQUIREMENT,
  parseMaxAuthAge,
  raisedAuthentication,
  stepUpParameters,
  strictestRequirement,
} from '../../src/domain/claims/authentication.ts';

const NOW_SECONDS = 1_800_000_000;
const level = fc.constantFrom(null, ...authenticationLevels);
const age = fc.option(fc.nat(1000));
const requirement = fc.record({ minAcr: level, maxAuthAgeSeconds: age });
const token = fc.record({
  acr: fc.constantFrom(null, 'aal1', 'aal2', 'aal3', ''),
  authenticatedAtSeconds: fc.option(fc.integer({ min: NOW_SECONDS - 1100, max: NOW_SECONDS + 10 })),
});

test('M41 of two requirements, a token satisfies the strictest one when it satisfies both, and only then', () => {
  const satisfies = (claims: AuthenticationClaims, required: AuthenticationRequirement) =>
    authenticationFault(claims, required, NOW_SECONDS) === null;
  fc.assert(
    fc.property(requirement, requirement, token, (one, other, claims) => {
      expect(satisfies(claims, strictestRequirement(one, other))).toBe(
        satisfies(claims, one) && satisfies(claims, other),
      );
      expect(strictestRequirement(one, other)).toEqual(strictestRequirement(other, one));
      expect(strictestRequirement(one, NO_AUTHENTICATION_REQUIREMENT)).toEqual(one);
    }),
    { numRuns: 5_000 },
  );
});

test.each([
  [['pwd'], ['otp'], ['pwd', 'otp']],
  [['pwd', 'recovery'], ['otp'], ['pwd', 'otp']],
  [['pwd', 'hwk'], ['recovery'], ['pwd', 'recovery']],
  [['hwk', 'mfa'], ['otp'], ['hwk', 'mfa', 'otp']],
  [['swk', 'mfa'], ['swk'], ['swk', 'mfa']],
  [['hwk', 'mfa', 'otp'], ['recovery'], ['hwk', 'mfa', 'recovery']],
  [[], ['otp'], ['otp']],
])('M28 a session with %j that is raised by %j has %j', (current, methods, amr) => {
  expect(raisedAuthentication(current, methods, NOW_SECONDS + 0.9)).toEqual({
    acr: 'aal2',
    amr,
    authenticatedAtSeconds: NOW_SECONDS,
  });
});

test('the parameters of RFC 9470 are those that are required', () => {
  expect(stepUpParameters({ minAcr: 'aal2', maxAuthAgeSeconds: 300 })).toEqual({
    acr_values: 'aal2',
    max_age: '300',
  });
  expect(stepUpParameters({ minAcr: null, maxAuthAgeSeconds: 0 })).toEqual({ max_age: '0' });
  expect(stepUpParameters({ minAcr: null, maxAuthAgeSeconds: null })).toEqual({});
});

test('an age in a configuration is a whole number of seconds in decimal digits', () => {
  expect(parseMaxAuthAge('1')).toBe(1);
  expect(parseMaxAuthAge(String(MAX_AUTH_AGE_SECONDS))).toBe(MAX_AUTH_AGE_SECONDS);
  for (const text of [
    '',
    '0',
    '00',
    '01',
    '-1',
    '1.0',
    '1e3',
    ' 1',
    '1 ',
    '1\n',
    '5m',
    '4294967296',
    '9'.repeat(400),
  ])
    expect([text, parseMaxAuthAge(text)]).toEqual([text, null]);
});
