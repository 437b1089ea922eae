import { connect } from 'node:net';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createAuthClient } from '../../src/client/auth-client.ts';
import { account, type Tokens } from '../support/account.ts';
import { until } from '../support/wait-for.ts';
import { endEveryPostern } from '../support/run-postern.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser, methodOf } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
/** An unhandled rejection on SIGUSR2. */
const fault = "process.on('SIGUSR2', () => void Promise.reject(new Error('a fault of the test')))";
const encodedFault = `data:text/javascript,${encodeURIComponent(fault)}`;

/** The instances on one database. They are replaced as the tests restart them. */
let database: TestDatabase;
let first: ServiceProcess;
let second: ServiceProcess;
beforeAll(async () => {
  database = await createTestDatabase();
  await addUser(database, email, password);
  [first, second] = await Promise.all([start({ POSTERN_SHUTDOWN_DELAY: '1s' }), start()]);
}, 60_000);
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
}, 30_000);

async function start(environment: Record<string, string> = {}): Promise<ServiceProcess> {
  const service = await startServiceProcess(database.url, {
    POSTERN_SESSIONS_PER_USER: '10000',
    ...environment,
  });
  await untilReady(service);
  return service;
}

/** The states that Health.Watch reports until it ends. */
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

test('N14 at SIGTERM during logins, refreshes and revocations health is NOT_SERVING first, and nothing acknowledged is lost', async () => {
  const health = watchHealth(first.grpcAddress);
  const idle = connect(Number(new URL(first.httpUrl).port), '127.0.0.1');
  idle.on('error', () => undefined);
  const live = new Map<string, Tokens>();
  const revoked = new Set<string>();
  const refusals = new Set<string>();
  const isNotServing = () => health.seen.at(-1) === 'NOT_SERVING';
  let acknowledgedSinceSignal = 0;
  const callUntilRefused = async (revokes: boolean) => {
    for (;;) {
      try {
        let tokens = await account.login(first, email, password);
        live.set(tokens.session_id, tokens);
        tokens = await account.refresh(first, tokens.refresh_token);
        live.set(tokens.session_id, tokens);
        if (isNotServing()) acknowledgedSinceSignal += 1;
        if (!revokes) continue;
        // Without a response, the revocation may have happened or not.
        live.delete(tokens.session_id);
        const verdict = await account.revoke(first, tokens.refresh_token);
        if (verdict !== 'OK') throw new Error(`${verdict}:`);
        revoked.add(tokens.access_token);
      } catch (error) {
        refusals.add(/^[A-Z_]+(?=:)/.exec((error as Error).message)?.[0] ?? String(error));
        return;
      }
    }
  };
  const callersUntilStop = Promise.all([
    callUntilRefused(false),
    callUntilRefused(true),
    callUntilRefused(false),
    callUntilRefused(true),
  ]);
  await until(() => live.size >= 10 && revoked.size >= 5, 'the ledger has entries');
  first.running.kill('SIGTERM');
  await until(isNotServing, 'health is NOT_SERVING');
  expect(await first.probe('/readyz')).toBe(503);
  expect(await first.probe('/readyz/verification')).toBe(503);
  expect(await first.probe('/livez')).toBe(200);
  const signalledAtMs = performance.now();
  const { exitCode } = await first.running.end;
  expect(performance.now() - signalledAtMs).toBeLessThan(6_000);
  expect(exitCode).toBe(0);
  await callersUntilStop;
  idle.destroy();
  expect(acknowledgedSinceSignal).toBeGreaterThan(0);
  expect(await health.end).toMatchObject({ code: grpc.status.UNAVAILABLE });
  // Each caller goes on until a call fails; the connection may be gone before the next call.
  expect([...refusals].filter((reason) => !['SHUTTING_DOWN', 'UNAVAILABLE'].includes(reason))).toEqual([]);
  for (const tokens of live.values()) {
    expect(await account.verdict(second, tokens.access_token)).toBe('OK');
    expect(await account.refreshVerdict(second, tokens.refresh_token)).toBe('OK');
  }
  for (const token of revoked) expect(await account.verdict(second, token)).toBe('TOKEN_REVOKED');
}, 60_000);

test('N14 while two instances are restarted one after the other, no call of a client with both addresses fails', async () => {
  const addresses = [first, second].map(({ grpcAddress }) => grpcAddress);
  const at = (address: string | undefined) => ({ POSTERN_GRPC_LISTEN: address ?? '' });
  first = await start(at(addresses[0]));
  const client = createAuthClient({ address: `ipv4:${addresses.join(',')}`, deadlineMs: 10_000 });
  let tokens = await client.login({ email, password });
  let count = 0;
  const failures: string[] = [];
  let going = true;
  const repeat = async (call: () => Promise<unknown>) => {
    while (going) {
      await call().catch((error: unknown) => failures.push(String(error)));
      count += 1;
    }
  };
  const callers = Promise.all([
    repeat(() => client.verifyToken({ accessToken: tokens.accessToken })),
    repeat(() => client.getJwks()),
    repeat(async () => void (tokens = await client.refreshToken(tokens.refreshToken))),
    repeat(async () => {
      const { refreshToken: token } = await client.login({ email, password });
      await client.revokeToken({ token });
    }),
  ]);
  await second.stop();
  second = await start({ ...at(addresses[1]), NODE_OPTIONS: `--import=${encodedFault}` });
  await first.stop();
  first = await start({ ...at(addresses[0]), POSTERN_SHUTDOWN_DELAY: '60s' });
  const before = count;
  await until(() => count > before + 100, 'calls go on');
  going = false;
  await callers;
  client.close();
  expect(failures).toEqual([]);
  expect(count).toBeGreaterThan(200);
}, 60_000);

test('N14 a second SIGTERM ends the process at once', async () => {
  first.running.kill('SIGTERM');
  await until(() => first.running.output.stderr.includes('"stopping"'), 'it is stopping');
  first.running.kill('SIGTERM');
  expect((await first.running.end).exitCode).toBeNull();
});

test('O07 an unexpected fault is logged and ends the process, and the next start works', async () => {
  process.kill(second.pid, 'SIGUSR2');
  const { exitCode, stderr } = await second.running.end;
  expect(exitCode).toBe(1);
  const last = JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
  expect(last).toMatchObject({ event: 'unhandledRejection' });
  expect(stderr).toContain('a fault of the test');
  second = await start();
  expect((await account.login(second, email, password)).user_id).not.toBe('');
});
