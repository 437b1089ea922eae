import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../../support/test-service.ts';

const password = 'correct horse battery';
let service: TestService;
let email: string;
let count = 0;
beforeAll(async () => {
  service = await startTestService();
});
beforeEach(async () => {
  count += 1;
  email = `user${count}@example.com`;
  await service.addUser(email, password);
});
afterAll(() => service.stop());

interface Tokens {
  access_token: string;
  refresh_token: string;
  session_id: string;
  expires_in: number;
  refresh_expires_in: number;
}

const call = (method: string, request: Record<string, unknown>) =>
  service.call(`postern.v1.AuthService/${method}`, request);
async function login(): Promise<Tokens> {
  const { response, message } = await call('Login', { email, password });
  if (!response) throw new Error(message);
  return response as unknown as Tokens;
}
async function refresh(token: string): Promise<Tokens> {
  const { response, reason } = await call('RefreshToken', { refresh_token: token });
  if (!response) throw new Error(reason);
  return response as unknown as Tokens;
}
const refusalOf = async (method: string, request: Record<string, unknown>) =>
  (await call(method, request)).reason;
const verdict = async (token: string) => {
  const { code, reason } = await call('VerifyToken', { access_token: token });
  return code === status.OK ? 'good' : reason;
};
/** Sets the age of the newest rotation. */
const age = (session: Tokens, interval: string) =>
  service.database.query(
    `UPDATE sessions SET rotated_at = rotated_at - $2::interval, created_at = created_at - $2::interval WHERE id = $1`,
    [session.session_id, interval],
  );

test('a refresh keeps the session and gives new tokens for it', async () => {
  const first = await login();
  expect(first.refresh_token).toMatch(/^prt_[\w-]{70}$/);
  expect(first.refresh_expires_in).toBe(14 * 86_400);
  const second = await refresh(first.refresh_token);
  expect(second.session_id).toBe(first.session_id);
  expect(second.refresh_token).not.toBe(first.refresh_token);
  expect([await verdict(first.access_token), await verdict(second.access_token)]).toEqual(['good', 'good']);
});

test('S04 the retry of a lost answer gets the same successor inside the grace time', async () => {
  const first = await login();
  const second = await refresh(first.refresh_token);
  const again = await refresh(first.refresh_token);
  expect(again.refresh_token).toBe(second.refresh_token);
  expect((await refresh(second.refresh_token)).session_id).toBe(first.session_id);
});

test('S06 after the grace time the old token ends the session for every holder, for good', async () => {
  const first = await login();
  const second = await refresh(first.refresh_token);
  await age(first, '11 seconds');
  expect(await refusalOf('RefreshToken', { refresh_token: first.refresh_token })).toBe(
    'REFRESH_TOKEN_REUSED',
  );
  expect(await refusalOf('RefreshToken', { refresh_token: second.refresh_token })).toBe(
    'REFRESH_TOKEN_REVOKED',
  );
  expect(await verdict(second.access_token)).toBe('TOKEN_REVOKED');
  const audited = await service.database.query(
    `SELECT reason FROM audit_events WHERE action = 'token.reuse' AND target_id = $1`,
    [first.session_id],
  );
  expect(audited).toEqual([{ reason: 'REFRESH_TOKEN_REUSED' }]);
});

test('S05 only the immediate predecessor has a grace time', async () => {
  const first = await login();
  const second = await refresh(first.refresh_token);
  await refresh(second.refresh_token);
  expect(await refusalOf('RefreshToken', { refresh_token: first.refresh_token })).toBe(
    'REFRESH_TOKEN_REUSED',
  );
});

describe('a phone whose answer is lost, with a grace time of ten minutes', () => {
  let patient: TestService;
  beforeAll(async () => {
    const settings = { POSTERN_REFRESH_GRACE: '10m', POSTERN_ACCESS_TOKEN_TTL: '1m' };
    patient = await startTestService(settings, service.database);
  });
  afterAll(() => patient.stop());

  const ask = async (method: string, request: Record<string, unknown>, bearer?: string) => {
    const metadata = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
    const { response, reason } = await patient.call(`postern.v1.AuthService/${method}`, request, metadata);
    return response ? (response as unknown as Tokens) : reason;
  };
  const refreshedAt = async (token: string) => {
    const answer = await ask('RefreshToken', { refresh_token: token });
    if (typeof answer === 'string') throw new Error(answer);
    return answer as Tokens;
  };
  const isGood = async (token: string) =>
    (await ask('VerifyToken', { access_token: token })) !== 'TOKEN_REVOKED';
  /** A session whose first refresh was nine minutes ago; the answer never arrived. */
  async function lostAnswer() {
    const first = (await ask('Login', { email, password })) as Tokens;
    const lost = await refreshedAt(first.refresh_token);
    await age(first, '9 minutes');
    await service.database.query(
      `UPDATE sessions SET access_expires_at = access_expires_at - interval '9 minutes' WHERE id = $1`,
      [first.session_id],
    );
    return { first, lost };
  }

  test.each([
    ['logs out', (again: Tokens) => ask('RevokeToken', { token: again.refresh_token })],
    [
      'logs out with the old token',
      (_again: Tokens, first: Tokens) => ask('RevokeToken', { token: first.refresh_token }),
    ],
    [
      'changes the password',
      (again: Tokens) =>
        ask(
          'ChangePassword',
          { current_password: password, new_password: 'another horse battery' },
          again.access_token,
        ),
    ],
  ])('S19 S04 is served after nine minutes, and %s: its last access token ends too', async (_name, leave) => {
    const { first, lost } = await lostAnswer();
    const again = await refreshedAt(first.refresh_token);
    expect(again.refresh_token).toBe(lost.refresh_token);
    expect(await isGood(again.access_token)).toBe(true);
    expect(typeof (await leave(again, first))).toBe('object');
    expect(await isGood(again.access_token)).toBe(false);
    const [kept] = await service.database.query(
      `SELECT expires_at > now() + interval '3 minutes 50 seconds' AS "longEnough" FROM revocations WHERE id = $1`,
      [first.session_id],
    );
    expect(kept).toEqual({ longEnough: true });
  });

  test('S06 S19 a thief is noticed after it: the access token of the repeat ends with the session', async () => {
    const { first } = await lostAnswer();
    const again = await refreshedAt(first.refresh_token);
    await age(first, '61 seconds');
    expect(await ask('RefreshToken', { refresh_token: first.refresh_token })).toBe('REFRESH_TOKEN_REUSED');
    expect(await isGood(again.access_token)).toBe(false);
  });

  test('S19 a repeat soon after the refresh writes nothing', async () => {
    const first = (await ask('Login', { email, password })) as Tokens;
    await refreshedAt(first.refresh_token);
    const writes = `SELECT xmin::text FROM sessions WHERE id = $1`;
    const [before] = await service.database.query(writes, [first.session_id]);
    await refreshedAt(first.refresh_token);
    expect(await service.database.query(writes, [first.session_id])).toEqual([before]);
  });

  test('S06 an instance with the default of ten seconds calls the same repeat reuse', async () => {
    const { first } = await lostAnswer();
    expect(await refusalOf('RevokeToken', { token: 'junk' })).toBeUndefined();
    expect(await refusalOf('RefreshToken', { refresh_token: first.refresh_token })).toBe(
      'REFRESH_TOKEN_REUSED',
    );
  });
});

test('S10 idle and absolute lifetimes end a session', async () => {
  const idle = await login();
  await age(idle, '14 days');
  expect(await refusalOf('RefreshToken', { refresh_token: idle.refresh_token })).toBe(
    'REFRESH_TOKEN_EXPIRED',
  );
  const old = await login();
  await service.database.query('UPDATE sessions SET expires_at = now() WHERE id = $1', [old.session_id]);
  expect(await refusalOf('RefreshToken', { refresh_token: old.refresh_token })).toBe('REFRESH_TOKEN_EXPIRED');
});

test('S11 revoking is idempotent, ends access and refresh tokens, and junk is OK', async () => {
  const tokens = await login();
  for (const token of [
    tokens.refresh_token,
    tokens.refresh_token,
    tokens.access_token,
    'junk',
    '',
    'prt_junk',
  ]) {
    expect((await call('RevokeToken', { token })).code).toBe(status.OK);
  }
  expect(await verdict(tokens.access_token)).toBe('TOKEN_REVOKED');
  expect(await refusalOf('RefreshToken', { refresh_token: tokens.refresh_token })).toBe(
    'REFRESH_TOKEN_REVOKED',
  );
});

test('S12 all sessions of a user can be ended at once, and no others', async () => {
  const [one, two] = [await login(), await login()];
  const other = email;
  email = `other-${email}`;
  await service.addUser(email, password);
  const stranger = await login();
  email = other;
  await call('RevokeToken', { token: one.access_token, all_sessions: true });
  expect([await verdict(one.access_token), await verdict(two.access_token)]).toEqual([
    'TOKEN_REVOKED',
    'TOKEN_REVOKED',
  ]);
  expect(await verdict(stranger.access_token)).toBe('good');
});

test('T13 an access token is no refresh token, and a refresh token no access token', async () => {
  const tokens = await login();
  expect(await refusalOf('RefreshToken', { refresh_token: tokens.access_token })).toBe(
    'REFRESH_TOKEN_INVALID',
  );
  expect(await verdict(tokens.refresh_token)).toBe('TOKEN_MALFORMED');
});
