import { status } from '@grpc/grpc-js';
import { afterAll, expect, test } from '@jest/globals';

import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const credentials = { email: 'ada@example.com', password: 'correct horse battery' };
interface Tokens {
  readonly access: string;
  readonly refresh: string;
}

afterAll(() => endEveryPostern());

async function login(service: TestService): Promise<Tokens> {
  const { response, message } = await service.call('postern.v1.AuthService/Login', credentials);
  if (!response) throw new Error(message);
  return { access: String(response['access_token']), refresh: String(response['refresh_token']) };
}

/** The result of verifying the access token and of using the refresh token. */
async function answers(service: TestService, { access, refresh }: Tokens): Promise<(string | status)[]> {
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: access });
  const refreshed = await service.call('postern.v1.AuthService/RefreshToken', { refresh_token: refresh });
  return [verified, refreshed].map(({ code, reason }) => reason ?? code);
}

async function withService<T>(store: TestDatabase, work: (service: TestService) => Promise<T>): Promise<T> {
  const service = await startTestService({}, store);
  try {
    return await work(service);
  } finally {
    await service.stop();
  }
}

const endAll = ({ url }: TestDatabase, ...words: string[]) =>
  runPostern(['session', 'end-all', ...words], {
    environment: { DATABASE_URL: url, POSTERN_MASTER_KEY: masterKey },
  });

test('D18 a restored backup revives revoked sessions, and end-all --after-restore ends every session in it', async () => {
  const store = await createTestDatabase();
  const before = await withService(store, async (service) => {
    await service.addUser(credentials.email, credentials.password);
    return login(service);
  });
  const backup = await createTestDatabase({ copyOf: store });
  const after = await withService(store, async (service) => {
    await service.call('postern.v1.AuthService/RevokeToken', { token: before.refresh });
    expect(await answers(service, before)).toEqual(['TOKEN_REVOKED', 'REFRESH_TOKEN_REVOKED']);
    return login(service);
  });
  await store.drop();

  expect(await withService(backup, (service) => answers(service, before))).toEqual([status.OK, status.OK]);
  const { exitCode, stdout, stderr } = await endAll(backup, '--after-restore', '--json');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const { sessions, active } = JSON.parse(stdout) as { sessions: number; active: string };
  expect(sessions).toBe(1);
  await withService(backup, async (service) => {
    expect(await answers(service, before)).toEqual(['TOKEN_KEY_UNKNOWN', 'REFRESH_TOKEN_REVOKED']);
    expect(await answers(service, after)).toEqual(['TOKEN_KEY_UNKNOWN', 'REFRESH_TOKEN_INVALID']);
    const fresh = await login(service);
    expect(JSON.parse(Buffer.from(fresh.access.split('.')[0] ?? '', 'base64url').toString())).toMatchObject({
      kid: active,
    });
    expect(await answers(service, fresh)).toEqual([status.OK, status.OK]);
    const trail = await backup.query(
      `SELECT action, details FROM audit_events WHERE actor_type = 'operator'`,
    );
    expect(trail).toContainEqual({ action: 'session.revoke', details: { sessions: 1, all: true } });
    expect(trail.filter(({ action }) => action === 'key.revoke')).toHaveLength(1);
  });
  await backup.drop();
});

test('end-all without --after-restore ends the sessions of a running service and keeps its keys', async () => {
  const store = await createTestDatabase();
  await withService(store, async (service) => {
    await service.addUser(credentials.email, credentials.password);
    const tokens = await login(service);
    expect(await endAll(store)).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^ended 1 session\b/),
    });
    const untilRevoked = async (): Promise<void> => {
      if ((await answers(service, tokens))[0] !== 'TOKEN_REVOKED') await untilRevoked();
    };
    await untilRevoked();
    expect(await answers(service, await login(service))).toEqual([status.OK, status.OK]);
  });
  await store.drop();
});
