import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { TcpProxy } from '../support/tcp-proxy.mjs';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { checkedBy } from '../services/ext-authz/check.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
let store: TestDatabase;
let proxy: TcpProxy;
let port: number;
let service: TestService | undefined;

beforeEach(async () => {
  store = await createTestDatabase();
  const url = new URL(store.url);
  proxy = new TcpProxy(`${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`);
  port = await proxy.open();
});
afterEach(async () => {
  await service?.stop();
  service = undefined;
  await proxy.close();
  await store.drop();
});

function startThroughProxy(environment: Record<string, string> = {}): Promise<TestService> {
  const { username, pathname } = new URL(store.url);
  const databaseUrl = `postgres://${username}@127.0.0.1:${port}${pathname}`;
  return startTestService({ ...environment, DATABASE_URL: databaseUrl }, store);
}

const login = () => service?.call('postern.v1.AuthService/Login', { email, password });

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come about in 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const isReady = async () => (await fetch(`${service?.httpUrl ?? ''}/readyz`)).status === 200;

test('D03 while the database is lost, logins get UNAVAILABLE and verification works, and everything recovers by itself', async () => {
  service = await startThroughProxy();
  await service.addUser(email, password);
  const token = await service.tokenOf(email, password);
  await proxy.close();

  const refused = await login();
  expect([refused?.code, refused?.reason]).toEqual([status.UNAVAILABLE, 'STORE_UNAVAILABLE']);
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  expect(verified.code).toBe(status.OK);
  await until(async () => !(await isReady()));
  expect((await fetch(`${service.httpUrl}/livez`)).status).toBe(200);
  const health = await service.call('grpc.health.v1.Health/Check', { service: '' });
  expect(health.response).toEqual({ status: 'NOT_SERVING' });
  // Envoy must keep calling Check: it is answered from memory.
  const forEnvoy = { service: 'envoy.service.auth.v3.Authorization' };
  expect((await service.call('grpc.health.v1.Health/Check', forEnvoy)).response).toEqual({
    status: 'SERVING',
  });
  const checked = await checkedBy(service, { headers: { authorization: `Bearer ${token}` } });
  expect(checked.allowed).toBe(true);

  await proxy.open(port);
  await until(isReady);
  expect((await login())?.code).toBe(status.OK);
});

test('R01 without its database a process is ready to verify, from the first keys until they are too old', async () => {
  const probe = async (path: string) => (await fetch(`${service?.httpUrl ?? ''}${path}`)).status;
  const readiness = async () => [await probe('/readyz'), await probe('/readyz/verification')];
  await proxy.close();
  service = await startThroughProxy({ POSTERN_MAX_STALENESS: '2s' });
  expect(await readiness()).toEqual([503, 503]);
  await proxy.open(port);
  await until(isReady);
  expect(await readiness()).toEqual([200, 200]);
  await service.addUser(email, password);
  const token = await service.tokenOf(email, password);
  const verdict = async () =>
    (await service?.call('postern.v1.AuthService/VerifyToken', { access_token: token }))?.reason;

  await proxy.close();
  await until(async () => !(await isReady()));
  expect([await probe('/readyz/verification'), await verdict()]).toEqual([200, undefined]);
  await until(async () => (await probe('/readyz/verification')) === 503);
  expect(await verdict()).toBe('TRUST_STALE');
  await proxy.open(port);
  await until(async () => (await probe('/readyz/verification')) === 200);
  await until(isReady);
});

test('D10 a database that never responds is given up within 2 s, and verification does not wait for it', async () => {
  service = await startThroughProxy();
  await service.addUser(email, password);
  const token = await service.tokenOf(email, password);
  proxy.swallowing = true;
  const startMs = performance.now();
  const refusing = login();
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  const verifiedAfterMs = performance.now() - startMs;
  expect(verified.code).toBe(status.OK);
  expect((await refusing)?.reason).toBe('STORE_UNAVAILABLE');
  expect(verifiedAfterMs).toBeLessThan(performance.now() - startMs);
  proxy.swallowing = false;
  await until(async () => (await login())?.code === status.OK);
});

test('D11 while every connection waits for a lock, calls that need no database are answered', async () => {
  const running = await startThroughProxy();
  service = running;
  await running.addUser(email, password);
  const tokens = [await running.tokenOf(email, password), await running.tokenOf(email, password)];
  const holder = new Client({ connectionString: store.url });
  await holder.connect();
  await holder.query('BEGIN; LOCK TABLE login_throttle IN ACCESS EXCLUSIVE MODE');
  let answered = 0;
  // More than the connections of the pool.
  const logins = Array.from({ length: 40 }, async (_, index) => {
    const outcome = await running.call('postern.v1.AuthService/Login', {
      email: `p${index}@example.com`,
      password,
    });
    answered += 1;
    return outcome.code;
  });
  const isCrowded = async () => {
    const metrics = await (await fetch(`${running.httpUrl}/metrics`)).text();
    return /^postern_db_pool\{[^}]*state="waiting"\} [1-9]/m.test(metrics);
  };
  await until(isCrowded);

  for (const access_token of tokens) {
    expect((await running.call('postern.v1.AuthService/VerifyToken', { access_token })).code).toBe(status.OK);
  }
  expect((await running.call('postern.v1.AuthService/GetJwks', {})).code).toBe(status.OK);
  expect((await running.call('grpc.health.v1.Health/Check', { service: '' })).code).toBe(status.OK);
  expect((await fetch(`${running.httpUrl}/livez`)).status).toBe(200);
  expect(answered).toBeLessThan(logins.length);
  const codes = await Promise.all(logins);
  expect(codes.every((code) => code === status.UNAVAILABLE || code === status.ABORTED)).toBe(true);
  await holder.end();
  expect((await login())?.code).toBe(status.OK);
});

test('D04 without a database at the start the service listens, is not ready, and becomes ready when the database is available', async () => {
  await proxy.close();
  service = await startThroughProxy();
  expect(await isReady()).toBe(false);
  expect((await fetch(`${service.httpUrl}/livez`)).status).toBe(200);
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: 'a.b.c' });
  expect(verified.reason).toBe('TRUST_STALE');
  await proxy.open(port);
  await until(isReady);
  await service.addUser(email, password);
  expect((await login())?.code).toBe(status.OK);
});
