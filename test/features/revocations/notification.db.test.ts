import { randomUUID } from 'node:crypto';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { Client, type Notification } from 'pg';

import { ChangeListener } from '../../../src/database/change-listener.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';
import { until } from '../../support/wait-for.ts';

const PASSWORD = 'correct horse battery';
let database: TestDatabase;
let service: TestService;
let listener: Client;
const notifications: Notification[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
  await service.addUser('ann@example.com', PASSWORD);
  listener = new Client({ connectionString: database.url });
  await listener.connect();
  listener.on('notification', (notification) => notifications.push(notification));
  await listener.query('LISTEN postern_trust');
});
afterAll(async () => {
  await listener.end();
  await service.stop();
  await database.drop();
});

/** The connections on which the service listens. Their name distinguishes them from its pools. */
async function listeningBackends(): Promise<unknown[]> {
  const rows = await database.query(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'postern alarm%'`,
  );
  return rows.map(({ pid }) => pid);
}

const revoke = async (token: string) =>
  (await service.call('postern.v1.AuthService/RevokeToken', { token })).code;

/** Writes a revocation in a session of its own, outside the service. */
const insertRevocation = (setting: string | null) =>
  database.query(
    `${setting === null ? '' : `SET postern.notifies_after_commit = '${setting}'; `}
     INSERT INTO revocations (kind, id, expires_at) VALUES ('sid', '${randomUUID()}', now() + interval '1 hour')`,
  );

test('S13 the service notifies others of a revocation on its listening connection, not in the transaction', async () => {
  const token = await service.tokenOf('ann@example.com', PASSWORD);
  notifications.length = 0;
  expect(await revoke(token)).toBe(status.OK);
  await until(() => notifications.length > 0, 'a notification');
  const senders = await listeningBackends();
  for (const { processId } of notifications) expect(senders).toContain(processId);
});

test.each([
  ['the command line or the release before', null],
  ['a session that says no', 'off'],
])('S13 a revocation by %s is notified by the trigger', async (_who, setting) => {
  notifications.length = 0;
  await insertRevocation(setting);
  await until(() => notifications.length > 0, 'a notification');
  expect(await listeningBackends()).not.toContain(notifications[0]?.processId);
});

test('D25 a session that notifies itself sends nothing in its transaction', async () => {
  notifications.length = 0;
  await insertRevocation('on');
  // Notifications arrive in the order of commits, so this one would come second.
  await database.query(`SELECT pg_notify('postern_trust', 'afterwards')`);
  await until(() => notifications.length > 0, 'a notification');
  expect(notifications.map(({ payload }) => payload)).toEqual(['afterwards']);
});

test('D25 notifications of one process are at least 20 ms apart', async () => {
  const own = new ChangeListener({
    address: { url: database.url },
    applicationName: 'other',
    onChange: () => undefined,
  });
  own.start();
  // Asked for before there is a connection, it waits for one.
  notifications.length = 0;
  own.notify();
  await until(() => notifications.length > 0, 'the first notification');
  const startMs = performance.now();
  let requests = 0;
  while (performance.now() - startMs < 200) {
    own.notify();
    requests += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => notifications.length > 1, 'a second notification');
  const elapsedMs = performance.now() - startMs;
  own.stop();
  expect(requests).toBeGreaterThan(notifications.length);
  expect(notifications.length).toBeLessThanOrEqual(2 + elapsedMs / 20);
});

test('S13 a service finds by polling what was committed by a process that ended before it could notify', async () => {
  const token = await service.tokenOf('ann@example.com', PASSWORD);
  const verify = () => service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  const { sid } = decodeJwt<{ sid: string }>(token);
  await database.query(
    `SET postern.notifies_after_commit = 'on';
     INSERT INTO revocations (kind, id, expires_at) VALUES ('sid', '${sid}', now() + interval '1 hour')`,
  );
  const tookMs = await until(async () => (await verify()).reason === 'TOKEN_REVOKED', 'the refusal');
  expect(tookMs).toBeLessThan(10_000);
});
