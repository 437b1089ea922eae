import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { RoadToDatabase } from '../support/road-to-database.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { checkedBy } from '../grpc/check.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
let store: TestDatabase;
let road: RoadToDatabase;
let port: number;
let service: TestService | undefined;

beforeEach(async () => {
  store = await createTestDatabase();
  road = new RoadToDatabase(store.url);
  port = await road.open();
});
afterEach(async () => {
  await service?.stop();
  service = undefined;
  await road.close();
  await store.drop();
});

function startThroughRoad(): Promise<TestService> {
  const { username, pathname } = new URL(store.url);
  return startTestService({ DATABASE_URL: `postgres://${username}@127.0.0.1:${port}${pathname}` }, store);
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

test('D03 a lost database answers UNAVAILABLE, verification goes on, and all comes back by itself', async () => {
  service = await startThroughRoad();
  await service.addUser(email, password);
  const token = await service.tokenOf(email, password);
  await road.close();

  const refused = await login();
  expect([refused?.code, refused?.reason]).toEqual([status.UNAVAILABLE, 'STORE_UNAVAILABLE']);
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  expect(verified.code).toBe(status.OK);
  await until(async () => !(await isReady()));
  expect((await fetch(`${service.httpUrl}/livez`)).status).toBe(200);
  const health = await service.call('grpc.health.v1.Health/Check', { service: '' });
  expect(health.response).toEqual({ status: 'NOT_SERVING' });
  // Envoy must go on asking: its checks are answered from memory.
  const forEnvoy = { service: 'envoy.service.auth.v3.Authorization' };
  expect((await service.call('grpc.health.v1.Health/Check', forEnvoy)).response).toEqual({
    status: 'SERVING',
  });
  const checked = await checkedBy(service, { headers: { authorization: `Bearer ${token}` } });
  expect(checked.allowed).toBe(true);

  await road.open(port);
  await until(isReady);
  expect((await login())?.code).toBe(status.OK);
});

test('D10 a database that swallows everything is given up within 2 s, and verification does not wait', async () => {
  service = await startThroughRoad();
  await service.addUser(email, password);
  const token = await service.tokenOf(email, password);
  road.swallowing = true;
  const startMs = performance.now();
  const refusing = login();
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  const verifiedAfterMs = performance.now() - startMs;
  expect(verified.code).toBe(status.OK);
  expect((await refusing)?.reason).toBe('STORE_UNAVAILABLE');
  expect(verifiedAfterMs).toBeLessThan(performance.now() - startMs);
  road.swallowing = false;
  await until(async () => (await login())?.code === status.OK);
});

test('D04 without a database at boot the service listens, is not ready, and becomes ready when it comes', async () => {
  await road.close();
  service = await startThroughRoad();
  expect(await isReady()).toBe(false);
  expect((await fetch(`${service.httpUrl}/livez`)).status).toBe(200);
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: 'a.b.c' });
  expect(verified.reason).toBe('TRUST_STALE');
  await road.open(port);
  await until(isReady);
  await service.addUser(email, password);
  expect((await login())?.code).toBe(status.OK);
});
