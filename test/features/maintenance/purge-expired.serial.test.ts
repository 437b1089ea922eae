import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { ExpiryPurge, purgeExpired } from '../../../src/features/maintenance/purge-expired.ts';
import { account } from '../../support/account.ts';
import { until } from '../../support/wait-for.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const signal = new AbortController().signal;
let service: TestService;
let userId: string;
beforeAll(async () => {
  service = await startTestService();
  userId = await service.addUser(email, password);
});
beforeEach(() => service.database.query('TRUNCATE sessions, revocations'));
afterAll(() => service.stop());

/** Sessions, and as many revocations, that expired so long ago; negative for a future expiry. */
async function insert(count: number, expiredAgo: string): Promise<void> {
  await service.database.query(
    `INSERT INTO sessions (id, user_id, nonce, audience, access_expires_at, expires_at, created_at, ended_at)
     SELECT uuidv7(), $1, $2, 'postern', now() - $3::interval, now() - $3::interval, now() - interval '60 days', now()
     FROM generate_series(1, $4)`,
    [userId, randomBytes(16), expiredAgo, count],
  );
  await service.database.query(
    `INSERT INTO revocations (kind, id, expires_at) SELECT 'sid', uuidv7()::text, now() - $1::interval FROM generate_series(1, $2)`,
    [expiredAgo, count],
  );
}

async function left(): Promise<unknown[]> {
  const [counts] = await service.database.query(
    `SELECT (SELECT count(*)::int FROM sessions) AS sessions, (SELECT count(*)::int FROM revocations) AS revocations`,
  );
  return [counts?.['sessions'], counts?.['revocations']];
}

test('S16 expired rows are purged, and an ended session stays as evidence until its tokens have expired', async () => {
  await insert(3, '25 hours');
  await insert(5, '23 hours');
  await insert(7, '-1 hour');
  expect(await purgeExpired({ database: service.database.database }, { signal })).toBe(3 + 3 + 5);
  expect(await left()).toEqual([5 + 7, 7]);
});

test('S16 a large backlog is purged in batches without slowing down refreshes', async () => {
  await insert(6_000, '2 days');
  let newest = (await account.login(service, email, password)).refresh_token;
  const purging = purgeExpired({ database: service.database.database }, { signal });
  const state = { over: false };
  void purging.finally(() => (state.over = true));
  const tookMs: number[] = [];
  while (!state.over) {
    const startMs = performance.now();
    newest = (await account.refresh(service, newest)).refresh_token;
    tookMs.push(performance.now() - startMs);
  }
  expect(await purging).toBe(12_000);
  expect(await left()).toEqual([1, 0]);
  expect(tookMs.length).toBeGreaterThan(10);
  expect(Math.max(...tookMs)).toBeLessThan(500);
});

test('S16 two concurrent instances purge every row once, and skip a locked row', async () => {
  await insert(2_000, '2 days');
  const [held] = await service.database.query('SELECT id FROM sessions LIMIT 1');
  const { database } = service.database;
  await database.unlimited(async (trx) => {
    await trx.raw('SELECT 1 FROM sessions WHERE id = ? FOR UPDATE', [String(held?.['id'])]);
    const purged = await Promise.all([
      purgeExpired({ database }, { signal }),
      purgeExpired({ database }, { signal }),
    ]);
    expect(purged[0] + purged[1]).toBe(3_999);
  });
  expect(await purgeExpired({ database }, { signal })).toBe(1);
  expect(await left()).toEqual([0, 0]);
});

test('S16 the schedule purges by itself until it is stopped', async () => {
  const reports: number[] = [];
  const failures: string[] = [];
  const purge = new ExpiryPurge({
    database: service.database.database,
    report: (purged) => reports.push(purged),
    onFailed: (error) => failures.push(String(error)),
    everyMs: 20,
  });
  await insert(10, '2 days');
  await until(async () => (await left()).every((count) => count === 0), 'everything is purged');
  // R27
  const partitions = await service.database.query('SELECT FROM postern_audit_partitions()');
  expect(partitions).toHaveLength(4);
  expect(failures).toEqual([]);
  await service.database.query('ALTER TABLE password_resets RENAME TO hidden');
  await until(() => failures.length > 0, 'a turn failed');
  await service.database.query('ALTER TABLE hidden RENAME TO password_resets');
  await insert(10, '2 days');
  await until(async () => (await left()).every((count) => count === 0), 'the next turn purges again');
  await purge.stop();
  await insert(10, '2 days');
  expect(reports.reduce((sum, count) => sum + count, 0)).toBe(40);
  expect(await left()).toEqual([10, 10]);
});
