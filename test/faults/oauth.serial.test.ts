import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account } from '../support/account.ts';
import { openAdminFixture, type Credentials } from '../support/admin-fixture.ts';
import { DatabaseProxy } from '../support/database-proxy.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

let database: TestDatabase;
let proxy: DatabaseProxy;
let service: TestService;
let billing: Credentials;
let port: number;
beforeAll(async () => {
  database = await createTestDatabase();
  proxy = new DatabaseProxy(database.url);
  const { username, pathname } = new URL(database.url);
  port = await proxy.open();
  const url = `postgres://${username}@127.0.0.1:${port}${pathname}`;
  const settings = { DATABASE_URL: url, POSTERN_OAUTH: 'on', POSTERN_MAX_STALENESS: '2s' };
  service = await startTestService(settings, database);
  billing = await (await openAdminFixture(database)).createService('billing');
  await service.addUser('ann@example.com', 'correct horse battery');
});
afterAll(async () => {
  await service.stop();
  await proxy.close();
  await database.drop();
});

async function post(path: string, form: Record<string, string>, authorization?: string) {
  const response = await fetch(`${service.httpUrl}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    ...(authorization !== undefined && { headers: { authorization } }),
  });
  const text = await response.text();
  return { status: response.status, retryAfter: response.headers.get('retry-after'), text };
}

test('J02 J03 while the database is away, a good token is never called inactive, and no revocation is acknowledged', async () => {
  const secret = { client_id: billing.id, client_secret: billing.secret };
  const issued = await service.call('postern.v1.AuthService/IssueServiceToken', secret);
  const own = `Bearer ${String(issued.response?.['access_token'])}`;
  const { access_token: token, refresh_token } = await account.login(
    service,
    'ann@example.com',
    'correct horse battery',
  );
  const introspect = () => post('/oauth/introspect', { token }, own);
  expect((await introspect()).text).toContain('"active":true');
  const seen: string[] = [];
  await proxy.close();
  // Until the known revocations are too old, the answer comes from memory; then it is 503.
  await until(async () => {
    const { status, text } = await introspect();
    if (status === 200) expect(text).toContain('"active":true');
    else seen.push(String(status));
    return status === 503;
  }, 'the trust is stale');
  expect(seen).toEqual(['503']);
  for (const reply of [
    await introspect(),
    await post('/oauth/introspect', { token, ...secret }),
    await post('/oauth/revoke', { token }),
    await post('/oauth/revoke', { token: refresh_token }),
    await post('/oauth/token', { grant_type: 'client_credentials', ...secret }),
    await post('/oauth/token', { grant_type: 'refresh_token', refresh_token }),
  ]) {
    expect(reply.status).toBe(503);
    expect(Number(reply.retryAfter)).toBeGreaterThanOrEqual(1);
    expect(reply.text).toContain('"error":"temporarily_unavailable"');
  }
  await proxy.open(port);
  await until(async () => (await introspect()).status === 200, 'the database is back');
  expect((await introspect()).text).toContain('"active":true');
  expect(await post('/oauth/revoke', { token })).toMatchObject({ status: 200, text: '' });
  expect((await introspect()).text).toBe('{"active":false}');
});
