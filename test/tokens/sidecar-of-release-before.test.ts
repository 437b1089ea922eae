import { expect, test } from '@jest/globals';

import { AccessTokenIssuer } from '../../src/features/sessions/access-token-issuer.ts';
import { verifierUnderTest } from '../security/verifier-under-test.ts';
import { routePolicy } from './release-before/route-policy.mjs';
import { verifierBefore } from './release-before/verifier-before.ts';

test('M32 a verifier of the release before accepts tokens with a level, and finds the role only at aal2', async () => {
  const subject = await verifierUnderTest('ES256');
  const before = await verifierBefore(subject);
  const issuer = new AccessTokenIssuer({
    issuer: subject.policy.issuer,
    audiences: () => ['postern'],
    lifetimeSeconds: 600,
    signer: () => subject.signer,
    nowMs: () => subject.clock.seconds * 1000,
    secondFactorRoles: ['admin'],
  });
  const authenticatedAtSeconds = subject.clock.seconds;
  for (const [authentication, roles] of [
    [{ acr: 'aal1', amr: ['pwd'], authenticatedAtSeconds }, ['reader']],
    [{ acr: 'aal1', amr: [], authenticatedAtSeconds: null }, ['reader']],
    [{ acr: 'aal2', amr: ['pwd', 'otp'], authenticatedAtSeconds }, ['admin', 'reader']],
  ] as const) {
    const { token } = await issuer.issueToUser({
      userId: 'u-1',
      sessionId: 's-1',
      externalId: null,
      roles: ['admin', 'reader'],
      audience: 'postern',
      authentication,
    });
    const verdict = await before.verify(token);
    expect(verdict).toMatchObject({ ok: true, claims: { subject: 'u-1', sessionId: 's-1' } });
    expect(verdict.ok && verdict.claims.roles).toEqual(roles);
  }
});

test('M42 a sidecar of the release before refuses every request of a route that requires a level', () => {
  expect(routePolicy({ roles_all: 'admin' }, ['postern'])).toMatchObject({ rolesAll: ['admin'] });
  for (const key of ['min_acr', 'max_auth_age'])
    expect(() => routePolicy({ roles_all: 'admin', [key]: 'aal2' }, ['postern'])).toThrow(
      /^route-misconfigured: /,
    );
});
