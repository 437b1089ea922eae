import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { lockUser } from '../../../src/features/users/user-queries.ts';
import { account, type Tokens, verdictOf } from '../../support/account.ts';
import { openAdminFixture } from '../../support/admin-fixture.ts';
import { addTotp, bearer, errorMetadata, type TestFactor, totpOf } from '../../support/second-factors.ts';
import { forgetAuthentication, storeAuthentication } from '../../support/session-level.ts';
import { testCall } from '../../support/test-call.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

const password = 'correct horse battery';
const better = 'a staple for the horse';
const longAgo = Math.floor(Date.now() / 1000) - 3_000;
let service: TestService;
let email: string;
let userId: string;
let count = 0;

beforeAll(async () => {
  service = await startTestService();
});
beforeEach(async () => {
  count += 1;
  email = `ida${count}@example.com`;
  userId = await service.addUser(email, password);
});
afterAll(() => service.stop());

const change = (token: string) =>
  service.call(
    'postern.v1.AuthService/ChangePassword',
    { current_password: password, new_password: better },
    bearer(token),
  );
const login = (typed: string, code = '') =>
  service.call('postern.v1.AuthService/Login', { email, password: typed, code });
const claimsOf = async (token: unknown) =>
  (await service.call('postern.v1.AuthService/VerifyToken', { access_token: token })).response;
async function withFactor(): Promise<{ tokens: Tokens; factor: TestFactor }> {
  const tokens = await account.login(service, email, password);
  return { tokens, factor: await addTotp(service, tokens.access_token) };
}

test('M30 below aal2 a user with a second factor changes no password', async () => {
  const { tokens, factor } = await withFactor();
  await forgetAuthentication(service.database, tokens.session_id);
  const lowered = await account.refresh(service, tokens.refresh_token);
  const refused = await change(lowered.access_token);
  expect([refused.code, refused.reason]).toEqual([status.UNAUTHENTICATED, 'STEP_UP_REQUIRED']);
  expect(refused.message).toMatch(/call StepUp/);
  // Nothing was changed, and no session ended.
  expect(verdictOf(await login(password, totpOf(factor.secret)))).toBe('OK');
  expect(await account.verdict(service, lowered.access_token)).toBe('OK');
});

test('M30 at aal2 it does, and the new session keeps acr, amr and auth_time: a password makes no factor fresher', async () => {
  const { tokens } = await withFactor();
  const proven = { acr: 'aal2', amr: ['pwd', 'otp'], authenticatedAtSeconds: longAgo } as const;
  await storeAuthentication(service.database, { sessionId: tokens.session_id, userId }, proven);
  const raised = await account.refresh(service, tokens.refresh_token);
  const { response } = await change(raised.access_token);
  expect(response?.['session_id']).not.toBe(tokens.session_id);
  const expected = {
    acr: 'aal2',
    amr: ['pwd', 'otp'],
    authenticated_at: { seconds: String(longAgo), nanos: 0 },
  };
  expect(await claimsOf(response?.['access_token'])).toMatchObject(expected);
  const refreshed = await account.refresh(service, String(response?.['refresh_token']));
  expect(await claimsOf(refreshed.access_token)).toMatchObject(expected);
  expect(verdictOf(await login(better))).toBe('SECOND_FACTOR_REQUIRED');
});

test('M30 at aal2 the new session ends when the old one would have, so that passwords alone do not prolong the level', async () => {
  const { tokens, factor } = await withFactor();
  const endOf = async (sessionId: unknown) => {
    const [row] = await service.database.query('SELECT expires_at FROM sessions WHERE id = $1', [sessionId]);
    return (row?.['expires_at'] as Date).getTime();
  };
  await service.database.query(
    "UPDATE sessions SET expires_at = now() + interval '10 minutes' WHERE id = $1",
    [tokens.session_id],
  );
  const { response } = await change(factor.accessToken);
  expect(Math.abs((await endOf(response?.['session_id'])) - (await endOf(tokens.session_id)))).toBeLessThan(
    5_000,
  );
  expect(Number(response?.['refresh_expires_in'])).toBeLessThanOrEqual(600);
});

test('M30 the token of a session that has expired changes no password', async () => {
  const { tokens, factor } = await withFactor();
  await service.database.query('UPDATE sessions SET expires_at = now() WHERE id = $1', [tokens.session_id]);
  expect(verdictOf(await change(factor.accessToken))).toBe('TOKEN_REVOKED');
  expect(verdictOf(await login(password, totpOf(factor.secret)))).toBe('OK');
});

test('M30 a factor that is added while the password is checked counts', async () => {
  const { access_token } = await account.login(service, email, password);
  const { answer } = await service.database.database.transaction(testCall(), async (trx) => {
    await lockUser(trx, userId);
    const waiting = change(access_token);
    await untilBlocked(service.database, waiting);
    await trx.raw(
      `INSERT INTO factors (id, user_id, kind, name, sealed_secret, confirmed_at)
       VALUES (gen_random_uuid(), ?, 'totp', 'phone', '\\x00', now())`,
      [userId],
    );
    return { answer: waiting };
  });
  expect(verdictOf(await answer)).toBe('STEP_UP_REQUIRED');
});

test('M31 a reset of the password removes no factor and opens no session', async () => {
  const { tokens, factor } = await withFactor();
  const fixture = await openAdminFixture(service.database);
  const reset = await service.call('postern.v1.AuthService/ResetPassword', {
    reset_token: await fixture.resetFor(email),
    new_password: better,
  });
  expect([reset.code, reset.response]).toEqual([status.OK, {}]);
  expect(await account.verdict(service, tokens.access_token)).toBe('TOKEN_REVOKED');
  const refused = await login(better);
  expect(verdictOf(refused)).toBe('SECOND_FACTOR_REQUIRED');
  expect(errorMetadata(refused)).toEqual({ factors: 'totp,recovery' });
  expect(verdictOf(await login(better, totpOf(factor.secret)))).toBe('OK');
});
