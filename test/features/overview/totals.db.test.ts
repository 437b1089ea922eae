import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { Database } from '../../../src/database/database.ts';
import { Rejected, type Rejection } from '../../../src/domain/rejection.ts';
import { TotalReader } from '../../../src/features/overview/total-reader.ts';
import { readTotals } from '../../../src/features/overview/total-queries.ts';
import { DatabaseProxy } from '../../support/database-proxy.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

let store: TestDatabase;
beforeAll(async () => (store = await createTestDatabase()));
beforeEach(() => store.query('TRUNCATE users, sessions, service_accounts CASCADE'));
afterAll(() => store.drop());

const addUsers = (from: number, to: number) =>
  store.query(
    `INSERT INTO users (id, email) SELECT gen_random_uuid(), 'user' || n || '@example.com' FROM generate_series($1::int, $2::int) AS n`,
    [from, to],
  );
const totals = () => store.database.run(testCall(), readTotals);

test('C22 up to 10,000 rows are counted, and more are estimated', async () => {
  await addUsers(1, 10_000);
  expect((await totals()).users).toEqual({ count: 10_000, isEstimate: false });
  await addUsers(10_001, 40_000);
  await store.query('ANALYZE users');
  const { users } = await totals();
  expect(users.isEstimate).toBe(true);
  expect(users.count).toBeGreaterThan(39_000);
  expect(users.count).toBeLessThan(41_000);
});

test('C22 sessions that have ended or expired are not live', async () => {
  await addUsers(1, 1);
  await store.query(
    `INSERT INTO sessions (id, user_id, audience, nonce, expires_at, access_expires_at, ended_at)
     SELECT gen_random_uuid(), users.id, 'postern', '', now() + state.life, now(), state.ended
     FROM users, (VALUES (interval '1 hour', NULL::timestamptz), ('1 hour', now()), ('-1 second', NULL)) AS state (life, ended)`,
  );
  expect((await totals()).liveSessions).toEqual({ count: 1, isEstimate: false });
});

test('C22 the totals of all callers are read once in five seconds', async () => {
  let nowMs = 0;
  let reads = 0;
  const database = {
    run: ((budget, work) => {
      reads += 1;
      return store.database.run(budget, work);
    }) as Database['run'],
  };
  const reader = new TotalReader(database, () => nowMs);
  await addUsers(1, 1);
  const all = await Promise.all(Array.from({ length: 20 }, () => reader.read()));
  expect(all.map((read) => read?.users.count)).toEqual(Array(20).fill(1));
  nowMs = 4_999;
  await addUsers(2, 2);
  expect((await reader.read())?.users.count).toBe(1);
  expect(reads).toBe(1);
  nowMs = 5_000;
  expect((await reader.read())?.users.count).toBe(2);
  expect(reads).toBe(2);
});

test.each<Rejection>([
  { kind: 'store-unavailable', cause: 'away', retryAfterMs: 1_000 },
  { kind: 'server-overloaded', cause: 'the queue is full', retryAfterMs: 1_000 },
  { kind: 'conflict' },
  { kind: 'deadline-exceeded' },
])('C23 a database that refuses with $kind costs the totals alone', async (rejection) => {
  const run = () => Promise.reject(new Rejected(rejection));
  expect(await new TotalReader({ run }).read()).toBeNull();
});

test('C23 without an answer of the database there are no totals, within about a second', async () => {
  const proxy = new DatabaseProxy(store.url);
  const url = new URL(store.url);
  url.searchParams.delete('host');
  url.hostname = '127.0.0.1';
  url.port = String(await proxy.open());
  const database = new Database({
    address: { url: url.href },
    applicationName: 'test',
    maxConnections: 1,
    warn: () => undefined,
  });
  try {
    expect(await new TotalReader(database).read()).not.toBeNull();
    proxy.swallowing = true;
    const beganMs = performance.now();
    expect(await new TotalReader(database).read()).toBeNull();
    expect(performance.now() - beganMs).toBeLessThan(5_000);
    await proxy.close();
    expect(await new TotalReader(database).read()).toBeNull();
  } finally {
    await database.close();
    await proxy.close();
  }
});
