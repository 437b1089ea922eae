import { connect } from 'node:net';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createAuthClient } from '../../src/client/auth-client.ts';
import { PosternError } from '../../src/client/postern-error.ts';
import { account, type Tokens } from '../support/account.ts';
import { until } from '../support/condition.ts';
import { endEveryPostern } from '../support/run-postern.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser, methodOf } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await addUser(database, email, password);
});
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
});

async function start(environment: Record<string, string> = {}): Promise<ServiceProcess> {
  const service = await startServiceProcess(database.url, {
    POSTERN_SESSIONS_PER_USER: '10000',
    ...environment,
  });
  await untilReady(service);
  return service;
}

/** The states that Health.Watch tells, until it ends. */
function watchHealth(address: string): { seen: string[]; end: Promise<grpc.StatusObject> } {
  const { path, requestSerialize, responseDeserialize } = methodOf('grpc.health.v1.Health/Watch');
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: '' });
  const seen: string[] = [];
  call.on('data', (message: { status: string }) => seen.push(message.status));
  call.on('error', () => undefined);
  const end = new Promise<grpc.StatusObject>((resolve) => {
    call.once('status', (status) => {
      client.close();
      resolve(status);
    });
  });
  return { seen, end };
}

test('N14 SIGTERM in the middle of logins, refreshes and revokes: what was acknowledged is kept, exit 0', async () => {
  const [stopping, other] = await Promise.all([start(), start()]);
  const idle = connect(Number(new URL(stopping.httpUrl).port), '127.0.0.1');
  idle.on('error', () => undefined);
  const ledger = { live: new Map<string, Tokens>(), revoked: new Set<string>() };
  const refusals = new Set<string>();
  let going = true;
  const turn = async (revokes: boolean) => {
    while (going) {
      try {
        let tokens = await account.login(stopping, email, password);
        ledger.live.set(tokens.session_id, tokens);
        tokens = await account.refresh(stopping, tokens.refresh_token);
        ledger.live.set(tokens.session_id, tokens);
        if (!revokes) continue;
        const verdict = await account.revoke(stopping, tokens.refresh_token);
        // Unanswered, it may have happened or not.
        ledger.live.delete(tokens.session_id);
        if (verdict !== 'OK') throw new Error(verdict);
        ledger.revoked.add(tokens.access_token);
      } catch (error) {
        refusals.add(/^[A-Z_]+/.exec((error as Error).message)?.[0] ?? String(error));
        if (stopping.running.output.stderr.includes('"stopping"')) return;
      }
    }
  };
  const turns = Promise.all([turn(false), turn(true), turn(false), turn(true)]);
  await until(() => ledger.live.size >= 10 && ledger.revoked.size >= 5, 'the ledger has entries');
  const sentAtMs = performance.now();
  stopping.running.kill('SIGTERM');
  const { exitCode } = await stopping.running.end;
  const tookMs = performance.now() - sentAtMs;
  going = false;
  await turns;
  idle.destroy();

  expect(exitCode).toBe(0);
  expect(tookMs).toBeLessThan(5_000);
  expect([...refusals].filter((reason) => !['SHUTTING_DOWN', 'UNAVAILABLE'].includes(reason))).toEqual([]);
  for (const tokens of ledger.live.values()) {
    expect(await account.verdict(other, tokens.access_token)).toBe('OK');
    expect(await account.refreshVerdict(other, tokens.refresh_token)).toBe('OK');
  }
  for (const token of ledger.revoked) expect(await account.verdict(other, token)).toBe('TOKEN_REVOKED');
  await other.stop();
});

test('N14 health says no before calls are refused, and streams are told why they end', async () => {
  const service = await start({ POSTERN_SHUTDOWN_DELAY: '1s' });
  const health = watchHealth(service.grpcAddress);
  await until(() => health.seen.includes('SERVING'), 'health serves');
  service.running.kill('SIGTERM');
  await until(() => health.seen.at(-1) === 'NOT_SERVING', 'health says no');
  expect(await service.probe('/readyz')).toBe(503);
  expect(await service.probe('/livez')).toBe(200);
  expect((await account.login(service, email, password)).user_id).not.toBe('');
  expect(await health.end).toMatchObject({ code: grpc.status.UNAVAILABLE });
  expect((await service.running.end).exitCode).toBe(0);
});

test('N14 a second SIGTERM ends the process at once', async () => {
  const service = await start({ POSTERN_SHUTDOWN_DELAY: '60s' });
  service.running.kill('SIGTERM');
  await until(() => service.running.output.stderr.includes('"stopping"'), 'it is stopping');
  service.running.kill('SIGTERM');
  expect((await service.running.end).exitCode).toBeNull();
});

test('N14 two instances restarted in turn: no call of a client that knows both fails', async () => {
  const instances = await Promise.all([start(), start()]);
  const ports = instances.map(({ grpcAddress }) => grpcAddress);
  const client = createAuthClient({ address: `ipv4:${ports.join(',')}`, deadlineMs: 8_000 });
  let tokens = await client.login({ email, password });
  const calls = { count: 0, failures: [] as string[] };
  let going = true;
  const repeat = async (call: () => Promise<unknown>) => {
    while (going) {
      calls.count += 1;
      await call().catch((error: unknown) => {
        const { code, message } = error as PosternError;
        calls.failures.push(`${code} ${message}`);
      });
    }
  };
  const streams = Promise.all([
    repeat(() => client.verifyToken({ accessToken: tokens.accessToken })),
    repeat(() => client.getJwks()),
    repeat(async () => void (tokens = await client.refreshToken(tokens.refreshToken))),
    repeat(async () => {
      const { refreshToken: token } = await client.login({ email, password });
      await client.revokeToken({ token });
    }),
  ]);
  for (const [index, address] of ports.entries()) {
    await instances[index]?.stop();
    expect(instances[index]?.running.output.stderr).toContain('"stopped"');
    instances[index] = await start({ POSTERN_GRPC_LISTEN: address });
  }
  const before = calls.count;
  await until(() => calls.count > before + 200, 'calls go on');
  going = false;
  await streams;
  client.close();
  await Promise.all(instances.map((instance) => instance.stop()));
  expect(calls.failures).toEqual([]);
  expect(calls.count).toBeGreaterThan(500);
});
