import { randomUUID } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { type Authentication, raisedAuthentication } from '../../src/domain/claims/authentication.ts';
import { leaveRoomForRoles, userRoles } from '../../src/domain/roles.ts';
import {
  LEVEL_CLAIMS_BYTES,
  MAX_ISSUED_TOKEN_BYTES,
  serviceTokenRoomOf,
  tokenRoomOf,
  tokenRoomViolations,
} from '../../src/domain/claims/token-room.ts';
import type { TokenMode } from '../security/forge.ts';
import { verifierUnderTest } from '../security/verifier-under-test.ts';

const modes: readonly TokenMode[] = ['ES256', 'RS256', 'EdDSA', 'HS256'];
const mostRoles = Array.from({ length: 16 }, (_, index) =>
  String.fromCharCode(97 + index).padEnd(index < 8 ? 11 : 10, 'r'),
);
const longest = { issuer: 'https://auth.example/'.padEnd(128, 'i'), audience: 'a'.repeat(128) };
const usual = { issuer: 'https://auth.example.com', audience: 'postern' };

const roles = fc
  .array(fc.integer({ min: 1, max: 14 }), { maxLength: 16, size: 'max' })
  .map((lengths) => [
    ...new Set(lengths.map((length, index) => ('abcdefghijklmnop'[index] ?? '').repeat(length))),
  ])
  .filter((names) => userRoles(names, 'roles').length === 0);
/** Of one byte, of two, and of one that JSON escapes. */
const externalIds = fc
  .tuple(fc.integer({ min: 1, max: 255 }), fc.constantFrom('7', 'ß', '"', '\\', 'a"'))
  .map(([length, filler]) => filler.repeat(length))
  .filter((text) => Buffer.byteLength(text) <= 255);
const names = fc
  .tuple(fc.integer({ min: 21, max: 200 }), fc.integer({ min: 1, max: 200 }))
  .map(([issuer, audience]) => ({
    issuer: 'https://auth.example/'.padEnd(issuer, 'i'),
    audience: 'a'.repeat(audience),
  }))
  .filter(({ issuer, audience }) => leaveRoomForRoles(issuer, [audience]));

/** Of a session that began with a password or a passkey, after some proofs of second factors. */
const authentications = fc
  .tuple(
    fc.constantFrom(['pwd'], ['hwk', 'mfa'], ['swk', 'mfa']),
    fc.array(fc.constantFrom('otp', 'recovery', 'hwk', 'swk'), { minLength: 1, maxLength: 6 }),
  )
  .map(([first, proofs]) =>
    proofs.reduce<Authentication>(({ amr }, method) => raisedAuthentication(amr, [method], 1_800_000_000.9), {
      acr: 'aal2',
      amr: first,
      authenticatedAtSeconds: null,
    }),
  );

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >;
}

describe.each(modes)('T26 with %s', (mode) => {
  const subject = verifierUnderTest(mode);
  const roomOf = ({ issuer, audience }: typeof usual) =>
    tokenRoomOf({ algorithm: mode, issuer, audiences: ['a', audience] });
  const fits = (name: typeof usual, user: { roles: readonly string[]; externalId: string }) =>
    tokenRoomViolations(roomOf(name), user, 'external_id').length === 0;
  const lengthOf = async (name: typeof usual, user: { roles: readonly string[]; externalId: string }) => {
    const { issue } = await subject;
    return issue({ subject: randomUUID(), sessionId: randomUUID(), ...name, ...user }).then(
      (token) => token.length,
      (error: unknown) => {
        expect(error).toBeInstanceOf(RangeError);
        return Infinity;
      },
    );
  };

  test('whoever is accepted with an external_id gets a token, and nobody else is refused', async () => {
    const property = fc.asyncProperty(roles, externalIds, names, async (own, externalId, name) => {
      const length = await lengthOf(name, { roles: own, externalId });
      if (fits(name, { roles: own, externalId })) expect(length).toBeLessThanOrEqual(MAX_ISSUED_TOKEN_BYTES);
      // Base64url rounds up, so that a byte or two may be left.
      else expect(length).toBeGreaterThan(MAX_ISSUED_TOKEN_BYTES - 4);
    });
    // A signature of RS256 takes ten times as long as the others.
    await fc.assert(property, { numRuns: mode === 'RS256' ? 60 : 300 });
  });

  test('whoever is accepted gets a token at every level: what has no room is left out, amr first', async () => {
    const property = fc.asyncProperty(
      roles,
      externalIds,
      names,
      authentications,
      async (own, externalId, name, authentication) => {
        const user = { roles: own, externalId };
        fc.pre(fits(name, user));
        const { issue } = await subject;
        const ids = { subject: randomUUID(), sessionId: randomUUID() };
        const token = await issue({ ...ids, ...name, ...user, authentication });
        expect(token.length).toBeLessThanOrEqual(MAX_ISSUED_TOKEN_BYTES);
        const { acr, amr, auth_time, ...claims } = claimsOf(token);
        expect(claims).toMatchObject({ roles: own, external_id: externalId });
        const left =
          roomOf(name) - JSON.stringify(own).length - Buffer.byteLength(JSON.stringify(externalId)) - 15;
        const { authenticatedAtSeconds } = authentication;
        const hasLevel = left >= LEVEL_CLAIMS_BYTES;
        expect([acr, auth_time]).toEqual(
          hasLevel ? [authentication.acr, authenticatedAtSeconds] : [undefined, undefined],
        );
        const amrBytes = ',"amr":'.length + JSON.stringify(authentication.amr).length;
        expect(amr).toEqual(left >= LEVEL_CLAIMS_BYTES + amrBytes ? authentication.amr : undefined);
      },
    );
    await fc.assert(property, { numRuns: mode === 'RS256' ? 60 : 300 });
  });

  test('an external_id of 255 bytes fits beside the most roles, with RS256 beside some', async () => {
    const externalId = 'e'.repeat(255);
    for (const name of [usual, longest]) {
      const most = { roles: mostRoles, externalId };
      if (mode === 'RS256') expect(fits(name, most)).toBe(false);
      else expect(await lengthOf(name, most)).toBeLessThanOrEqual(MAX_ISSUED_TOKEN_BYTES);
    }
    const some = { roles: mostRoles.slice(0, 10), externalId };
    expect(fits(usual, some)).toBe(true);
    expect(await lengthOf(usual, some)).toBeLessThanOrEqual(MAX_ISSUED_TOKEN_BYTES);
  });
});

describe.each(modes)('T26 the name of a service account with %s', (mode) => {
  const subject = verifierUnderTest(mode);
  const accountNames = fc.integer({ min: 1, max: 64 }).map((length) => 'n'.repeat(length));
  const issued = async (name: typeof usual, own: readonly string[], accountName: string) => {
    const { issue } = await subject;
    const id = randomUUID();
    const token = await issue({
      ...name,
      subject: id,
      clientId: id,
      sessionId: null,
      roles: own,
      subjectName: accountName,
    });
    const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
    return { length: token.length, claims: JSON.parse(claims) as Record<string, unknown> };
  };

  test('is in the token where it fits, and left out where it does not: every account gets its token', async () => {
    const property = fc.asyncProperty(roles, accountNames, names, async (own, accountName, name) => {
      const room = serviceTokenRoomOf({
        algorithm: mode,
        issuer: name.issuer,
        audiences: ['a', name.audience],
      });
      const { length, claims } = await issued(name, own, accountName);
      expect(length).toBeLessThanOrEqual(MAX_ISSUED_TOKEN_BYTES);
      expect(claims['roles']).toEqual(own);
      const fitsIn = JSON.stringify(own).length + accountName.length <= room;
      expect(claims['name']).toBe(fitsIn ? accountName : undefined);
    });
    await fc.assert(property, { numRuns: mode === 'RS256' ? 60 : 300 });
  });

  test('the longest name beside the most roles', async () => {
    const { length, claims } = await issued(longest, mostRoles, 'n'.repeat(64));
    expect(length).toBeLessThanOrEqual(MAX_ISSUED_TOKEN_BYTES);
    expect('name' in claims).toBe(mode !== 'RS256');
  });
});

test('the violation says by how much it is too long and what to do', () => {
  expect(tokenRoomViolations(100, { roles: ['reader'], externalId: 'x'.repeat(80) }, 'external_id')).toEqual([
    {
      field: 'external_id',
      description:
        'roles and external_id are together 7 bytes too long for an access token of 1536; give the user fewer roles or a shorter external_id',
    },
  ]);
  expect(tokenRoomViolations(100, { roles: ['reader'], externalId: 'x'.repeat(73) }, 'roles')).toEqual([]);
  expect(tokenRoomViolations(0, { roles: ['reader'], externalId: null }, 'roles')).toEqual([]);
});
