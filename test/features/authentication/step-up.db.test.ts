import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { lockUser } from '../../../src/features/users/user-queries.ts';
import { account, type Tokens, verdictOf } from '../../support/account.ts';
import {
  addTotp,
  bearer,
  errorMetadata,
  forgetUsedCodes,
  type TestFactor,
  totpOf,
  wrongTotpOf,
} from '../../support/second-factors.ts';
import {
  addPasskey,
  assertionOf,
  beginLogin,
  PASSKEY_ORIGIN,
  passkeyEnvironment,
} from '../../support/passkeys.ts';
import { SoftwareAuthenticator } from '../../support/software-authenticator.ts';
import { forgetAuthentication, storeAuthentication } from '../../support/session-level.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { type Message, startTestService, type TestService } from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

const password = 'correct horse battery';
const longAgo = Math.floor(Date.now() / 1000) - 3_000;
let database: TestDatabase;
let service: TestService;
let second: TestService;
let email: string;
let userId: string;
let count = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  const settings = { ...passkeyEnvironment, POSTERN_SECOND_FACTOR_ROLES: 'operator' };
  service = await startTestService(settings, database);
  second = await startTestService(settings, database);
});
beforeEach(async () => {
  count += 1;
  email = `joan${count}@example.com`;
  userId = await service.addUser(email, password, ['operator', 'reader']);
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

const stepUp = (token: string, proof: Message, at = service) =>
  at.call('postern.v1.AuthService/StepUp', proof, bearer(token));
const claimsOf = async (token: unknown, at = service) => {
  const { response, message } = await at.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  if (!response) throw new Error(message);
  return response;
};
const secondsOf = (claims: Message) =>
  Number((claims['authenticated_at'] as { seconds: string } | null)?.seconds);
const failuresIn = async (table: 'login_throttle' | 'code_failures') => {
  const [row] = await database.query(`SELECT coalesce(sum(failures), 0)::int AS sum FROM ${table}`);
  return row?.['sum'];
};
/** A session below `aal2` of a user with a factor, such as one of the release before. */
async function lowered({ session_id, refresh_token }: Tokens): Promise<Tokens> {
  await forgetAuthentication(database, session_id);
  return account.refresh(service, refresh_token);
}

describe('M27 a user without a second factor', () => {
  test('renews auth_time by the password, in the same session and at the same level', async () => {
    const tokens = await account.login(service, email, password);
    const ids = { sessionId: tokens.session_id, userId };
    await storeAuthentication(database, ids, {
      acr: 'aal1',
      amr: ['pwd'],
      authenticatedAtSeconds: longAgo,
    });
    const { access_token, refresh_token } = await account.refresh(service, tokens.refresh_token);
    expect(secondsOf(await claimsOf(access_token))).toBe(longAgo);

    const { response } = await stepUp(access_token, { password });
    expect(response).toMatchObject({
      token_type: 'bearer',
      expires_in: 600,
      refresh_token: '',
      refresh_expires_in: 0,
      session_id: tokens.session_id,
      user_id: userId,
    });
    const claims = await claimsOf(response?.['access_token'], second);
    expect(claims).toMatchObject({ acr: 'aal1', amr: ['pwd'], roles: ['reader'] });
    expect(secondsOf(claims)).toBeGreaterThan(longAgo + 2_900);
    // The refresh token of before goes on, and says the same.
    const next = await account.refresh(second, refresh_token);
    expect(secondsOf(await claimsOf(next.access_token))).toBe(secondsOf(claims));
  });

  test('a wrong password is counted as in Login, and a right one forgives', async () => {
    await database.query('DELETE FROM login_throttle');
    const { access_token } = await account.login(service, email, password);
    const wrong = await stepUp(access_token, { password: 'wrong horse battery' });
    expect(verdictOf(wrong)).toBe('INVALID_CREDENTIALS');
    // Of the pair and of the account.
    expect(await failuresIn('login_throttle')).toBe(2);
    expect(verdictOf(await stepUp(access_token, { password }))).toBe('OK');
    // The failed attempt of the account stays, as after a login.
    expect(await failuresIn('login_throttle')).toBe(1);
  });

  test('a code is refused: there is nothing that it could be of', async () => {
    const { access_token } = await account.login(service, email, password);
    expect(verdictOf(await stepUp(access_token, { code: '123456' }))).toBe('SECOND_FACTOR_INVALID');
  });

  test('the session falls to aal1 when only the password was proven, such as after the last factor was deleted', async () => {
    const tokens = await account.login(service, email, password);
    const ids = { sessionId: tokens.session_id, userId };
    await storeAuthentication(database, ids, {
      acr: 'aal2',
      amr: ['pwd', 'otp'],
      authenticatedAtSeconds: longAgo,
    });
    const { response } = await stepUp(tokens.access_token, { password });
    expect(await claimsOf(response?.['access_token'])).toMatchObject({ acr: 'aal1', roles: ['reader'] });
  });
});

describe('M28 a user with a second factor', () => {
  let factor: TestFactor;
  let tokens: Tokens;
  beforeEach(async () => {
    await database.query('DELETE FROM login_throttle');
    const first = await account.login(service, email, password);
    factor = await addTotp(service, first.access_token);
    tokens = await lowered(first);
  });

  test('raises the session by a code, and gets the roles that need it', async () => {
    expect(await claimsOf(tokens.access_token)).toMatchObject({
      acr: 'aal1',
      authenticated_at: null,
      roles: ['reader'],
    });
    await database.query(`UPDATE users SET roles = '{operator,writer}' WHERE id = $1`, [userId]);
    const { response } = await stepUp(tokens.access_token, { code: totpOf(factor.secret) });
    const claims = await claimsOf(response?.['access_token'], second);
    expect(claims).toMatchObject({
      session_id: tokens.session_id,
      acr: 'aal2',
      amr: ['otp'],
      roles: ['operator', 'writer'],
    });
    const next = await account.refresh(second, tokens.refresh_token);
    expect(await claimsOf(next.access_token)).toMatchObject({ acr: 'aal2', roles: ['operator', 'writer'] });
    const [event] = await database.query(
      "SELECT * FROM audit_events WHERE action = 'session.step-up' AND outcome = 'ok' AND target_id = $1",
      [tokens.session_id],
    );
    expect(event).toMatchObject({
      actor_type: 'user',
      actor_id: userId,
      details: { acr: 'aal2', amr: ['otp'] },
    });
  });

  test('the methods are those of the last proof, beside the password', async () => {
    const code = totpOf(factor.secret);
    const login = await service.call('postern.v1.AuthService/Login', { email, password, code });
    const [recovery = ''] = factor.recoveryCodes;
    const stepped = await stepUp(String(login.response?.['access_token']), { code: recovery });
    expect(await claimsOf(stepped.response?.['access_token'])).toMatchObject({
      acr: 'aal2',
      amr: ['pwd', 'recovery'],
    });
  });

  test('each code works once, at whichever instance', async () => {
    const code = totpOf(factor.secret);
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        stepUp(tokens.access_token, { code }, index % 2 === 0 ? service : second),
      ),
    );
    expect(answers.map(verdictOf).sort()).toEqual([
      'OK',
      ...Array.from({ length: 5 }, () => 'SECOND_FACTOR_INVALID'),
    ]);
  });

  test('the password alone is refused, and does not count as a failure', async () => {
    await database.query('DELETE FROM login_throttle');
    const answer = await stepUp(tokens.access_token, { password });
    expect(verdictOf(answer)).toBe('SECOND_FACTOR_REQUIRED');
    expect(errorMetadata(answer)).toEqual({ factors: 'totp,recovery' });
    // StepUp takes one proof: the advice does not ask for the password beside the code.
    expect(answer.message).toMatch(/call again with a code or a passkey \(totp, recovery\)$/);
    while ((await failuresIn('login_throttle')) !== 0);
    const wrong = await stepUp(tokens.access_token, { password: 'wrong horse battery' });
    expect(verdictOf(wrong)).toBe('INVALID_CREDENTIALS');
  });

  test('a wrong code counts as a failed login and as a wrong code', async () => {
    await database.query('DELETE FROM login_throttle');
    await database.query('DELETE FROM code_failures');
    const wrong = await stepUp(tokens.access_token, { code: wrongTotpOf(factor.secret) });
    expect(verdictOf(wrong)).toBe('SECOND_FACTOR_INVALID');
    expect([await failuresIn('login_throttle'), await failuresIn('code_failures')]).toEqual([2, 1]);
    expect(await claimsOf(tokens.access_token)).toMatchObject({ acr: 'aal1' });
  });

  test('wrong codes delay further ones, whoever has a token', async () => {
    await database.query('DELETE FROM login_throttle');
    const verdicts: string[] = [];
    for (let guess = 0; guess < 12; guess += 1)
      verdicts.push(
        verdictOf(await stepUp(tokens.access_token, { code: wrongTotpOf(factor.secret, guess) })),
      );
    expect(verdicts).toContain('LOGIN_RATE_LIMITED');
    await database.query('DELETE FROM login_throttle');
    await database.query('DELETE FROM code_failures');
  });

  test('raises the session by a passkey, whose challenge works once', async () => {
    const authenticator = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
    const code = totpOf(factor.secret);
    const first = await service.call('postern.v1.AuthService/Login', { email, password, code });
    const own = first.response as unknown as Tokens;
    await addPasskey(service, own.access_token, authenticator);
    const { access_token } = await lowered(own);
    const passkey = assertionOf(authenticator, await beginLogin(service));
    const { response } = await stepUp(access_token, { passkey });
    expect(await claimsOf(response?.['access_token'])).toMatchObject({ acr: 'aal2', amr: ['hwk'] });
    const again = await stepUp(access_token, { passkey }, second);
    expect(verdictOf(again)).toBe('PASSKEY_INVALID');
    const malformed = await stepUp(access_token, { passkey: { ...passkey, credential_json: '' } });
    expect(malformed.reason).toBe('FIELD_INVALID');
  });

  test.each([
    ['that another instance has ended', 'ended_at'],
    ['that has expired', 'expires_at'],
  ])('a session %s is not raised, and the code is not used up', async (_how, column) => {
    await database.query(`UPDATE sessions SET ${column} = now() WHERE id = $1`, [tokens.session_id]);
    const code = totpOf(factor.secret);
    expect(verdictOf(await stepUp(tokens.access_token, { code }))).toBe('TOKEN_REVOKED');
    expect(verdictOf(await service.call('postern.v1.AuthService/Login', { email, password, code }))).toBe(
      'OK',
    );
  });

  test('a code is not used up when the token cannot be issued', async () => {
    const setExternalId = (externalId: string | null) =>
      database.query('UPDATE users SET external_id = $2 WHERE id = $1', [userId, externalId]);
    await setExternalId('x'.repeat(1_500));
    const code = totpOf(factor.secret);
    expect(verdictOf(await stepUp(tokens.access_token, { code }))).toBe('CLAIMS_TOO_LONG');
    await setExternalId(null);
    expect(verdictOf(await stepUp(tokens.access_token, { code }))).toBe('OK');
  });

  test('a disabled user gets no token', async () => {
    await database.query('UPDATE users SET disabled_at = now() WHERE id = $1', [userId]);
    expect(verdictOf(await stepUp(tokens.access_token, { code: totpOf(factor.secret) }))).toBe(
      'TOKEN_REVOKED',
    );
  });

  test('a revocation of the session outlives the new token', async () => {
    await database.query('UPDATE sessions SET access_expires_at = now() WHERE id = $1', [tokens.session_id]);
    await forgetUsedCodes(service, factor.factorId);
    const { code } = await stepUp(tokens.access_token, { code: totpOf(factor.secret) });
    expect(code).toBe(status.OK);
    const [row] = await database.query(
      "SELECT access_expires_at > now() + interval '590 seconds' AS covers FROM sessions WHERE id = $1",
      [tokens.session_id],
    );
    expect(row?.['covers']).toBe(true);
  });
});

test('M29 a factor that is added while the password is checked counts', async () => {
  const { access_token } = await account.login(service, email, password);
  const blocked = await database.database.transaction(testCall(), async (trx) => {
    await lockUser(trx, userId);
    const answer = stepUp(access_token, { password });
    await untilBlocked(database, answer);
    await trx.raw(
      `INSERT INTO factors (id, user_id, kind, name, sealed_secret, confirmed_at)
       VALUES (gen_random_uuid(), ?, 'totp', 'phone', '\\x00', now())`,
      [userId],
    );
    return { answer };
  });
  expect(verdictOf(await blocked.answer)).toBe('SECOND_FACTOR_REQUIRED');
});

test('M27 exactly one proof', async () => {
  const { access_token } = await account.login(service, email, password);
  for (const proof of [{}, { password, code: '123456' }]) {
    const { reason, message } = await stepUp(access_token, proof);
    expect(reason).toBe('FIELD_INVALID');
    expect(message).toBe('password: send exactly one of password, code and passkey');
  }
  const long = await stepUp(access_token, { code: '1'.repeat(65) });
  expect(long.reason).toBe('FIELD_INVALID');
});
