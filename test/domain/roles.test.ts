import { randomUUID } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { loadSettings, SettingsError } from '../../src/config/load-settings.ts';
import { leaveRoomForRoles, userRoles } from '../../src/domain/roles.ts';
import { MAX_ISSUED_TOKEN_BYTES } from '../../src/domain/claims/token-room.ts';
import type { TokenMode } from '../security/forge.ts';
import { verifierUnderTest } from '../security/verifier-under-test.ts';

const faultsOf = (roles: readonly string[]) =>
  userRoles(roles, 'roles').map(({ description }) => description);
const longest = Array.from({ length: 16 }, (_, index) => 'r'.repeat(index < 8 ? 11 : 10));
const modes: readonly TokenMode[] = ['ES256', 'RS256', 'EdDSA', 'HS256'];

test('the number of roles, the bytes of each and their sum are limited', () => {
  expect(faultsOf(longest)).toEqual([]);
  expect(faultsOf([...longest.slice(1), 'r'.repeat(12)])).toEqual([expect.stringMatching(/\b168 bytes/)]);
  expect(faultsOf(['r'.repeat(64), 's'.repeat(64)])).toEqual([]);
  expect(faultsOf(['r'.repeat(65)])).toEqual([expect.stringMatching(/\b64 bytes/)]);
  expect(faultsOf(Array.from({ length: 17 }, () => 'r'))).toEqual([expect.stringMatching(/\b16\b/)]);
  expect(faultsOf(['Admin'])).toHaveLength(1);
});

/** Roles of any accepted length; those that would exceed a limit are left out. */
const acceptedRoles = fc
  .array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 64 })), {
    maxLength: 16,
    size: 'max',
  })
  .map((lengths) => lengths.map((length) => 'r'.repeat(length)))
  .map((roles) => roles.filter((_, end) => faultsOf(roles.slice(0, end + 1)).length === 0));
/** An issuer and an audience of the maximum size that the settings accept; quotes and backslashes count twice in JSON. */
const names = fc
  .tuple(fc.integer({ min: 20, max: 250 }), fc.constantFrom('a', '"', '\\', 'ab"'))
  .map(([length, filler]) => {
    const issuer = 'https://auth.example/'.padEnd(length, 'i');
    let audience = '';
    while (leaveRoomForRoles(issuer, [audience + filler])) audience += filler;
    return { issuer, audience };
  });

describe.each(modes)('T26 with %s', (mode) => {
  const subject = verifierUnderTest(mode);
  const user = () => ({ subject: randomUUID(), sessionId: randomUUID() });

  test('every user whose roles are accepted gets a token', async () => {
    const { issue } = await subject;
    const property = fc.asyncProperty(acceptedRoles, names, async (roles, { issuer, audience }) => {
      const token = await issue({ ...user(), roles, issuer, audience });
      expect(token.length).toBeLessThanOrEqual(MAX_ISSUED_TOKEN_BYTES);
    });
    // A signature of RS256 takes ten times as long as the others.
    await fc.assert(property, { numRuns: mode === 'RS256' ? 60 : 300 });
  });

  test('also a user with the most roles under the longest issuer and audience', async () => {
    const { issue } = await subject;
    const issuer = 'https://auth.example/'.padEnd(128, 'i');
    const token = await issue({ ...user(), roles: longest, issuer, audience: 'a'.repeat(128) });
    expect(token.length).toBeGreaterThan(mode === 'RS256' ? 1520 : 950);
  });
});

test('T26 settings that leave no room for roles are refused', () => {
  const load = (issuerLength: number, audience: string) => () =>
    loadSettings({
      POSTERN_ISSUER: 'https://auth.example/'.padEnd(issuerLength, 'i'),
      POSTERN_AUDIENCE: `short,${audience}`,
    });
  expect(load(128, 'a'.repeat(128))).not.toThrow();
  expect(load(128, 'a'.repeat(129))).toThrow(SettingsError);
  expect(load(128, '"'.repeat(65))).toThrow('256 bytes');
});
