import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { OrderServiceClient } from '../../examples/typescript-service/generated/orders.ts';
import { until } from '../interop/until.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const example = join(root, 'examples', 'typescript-service');
const password = 'correct horse battery';
const run = promisify(execFile);

let postern: TestService;
let server: ChildProcess;
let orders: string;

beforeAll(async () => {
  postern = await startTestService();
  await postern.addUser('ann@example.com', password, ['reader']);
  await postern.addUser('boss@example.com', password, ['admin']);
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  await run(process.execPath, [tsc, '-p', example]);
  const words = [join(example, 'dist', 'server.js'), postern.grpcAddress];
  const { id, secret } = await (await openAdminFixture(postern.database)).createService('orders');
  const child = spawn(process.execPath, [...words, '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CLIENT_ID: id, CLIENT_SECRET: secret },
  });
  server = child;
  const [[line]] = (await Promise.all([
    once(child.stdout, 'data'),
    // Logged when the keys have been loaded.
    once(child.stderr, 'data'),
  ])) as [[Buffer], [Buffer]];
  orders = `127.0.0.1:${(JSON.parse(line.toString()) as { port: number }).port}`;
});
afterAll(async () => {
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
  await postern.stop();
});

async function client(email: string, secret = password) {
  const promise = run(process.execPath, [
    join(example, 'dist', 'client.js'),
    email,
    postern.grpcAddress,
    orders,
  ]);
  promise.child.stdin?.end(secret);
  const { stdout } = await promise;
  return stdout.trimEnd().split('\n');
}

/** Calls ListOrders with this authorization. @returns the name of the status */
function listOrders(authorization?: string): Promise<string> {
  const stub = new OrderServiceClient(orders, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  return new Promise((resolve) => {
    stub.listOrders({}, metadata, (error) => {
      stub.close();
      resolve(grpc.status[error?.code ?? grpc.status.OK]);
    });
  });
}

test('the client logs in and calls methods, and CancelOrder requires the role admin', async () => {
  const [hours, list, cancel] = await client('ann@example.com');
  expect(hours).toBe('GetOpeningHours {"text":"always"}');
  expect(list).toMatch(
    /^ListOrders \{"orders":\[\{"id":"([0-9a-f-]{36})","owner":"\1","cancelledBy":""\}\]\}$/,
  );
  expect(cancel).toBe("CancelOrder PERMISSION_DENIED the subject lacks the role 'admin'");
  const [, , cancelled] = await client('boss@example.com');
  expect(cancelled).toMatch(/^CancelOrder .*"owner":"([0-9a-f-]{36})","cancelledBy":"\1"\}$/);
});

test('a failed login is reported with its reason', async () => {
  await expect(client('ann@example.com', 'a wrong password')).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^UNAUTHENTICATED INVALID_CREDENTIALS: /),
  });
});

test('a call without a valid token is refused', async () => {
  const token = await postern.tokenOf('ann@example.com', password);
  expect(await listOrders(`Bearer ${token}`)).toBe('OK');
  for (const authorization of [
    undefined,
    'Bearer junk',
    `Bearer ${token.slice(0, -4)}AAAA`,
    `Basic ${token}`,
  ])
    expect(await listOrders(authorization)).toBe('UNAUTHENTICATED');
});

test('a token is refused as soon as it is revoked', async () => {
  const token = await postern.tokenOf('ann@example.com', password);
  expect(await listOrders(`Bearer ${token}`)).toBe('OK');
  await postern.call('postern.v1.AuthService/RevokeToken', { token });
  await until(async () => (await listOrders(`Bearer ${token}`)) === 'UNAUTHENTICATED');
});

test('its generated code is up to date with its proto file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-example-'));
  const bins = join(root, 'node_modules', '.bin');
  const env = { ...process.env, PATH: `${bins}:${process.env['PATH'] ?? ''}` };
  await run(join(bins, 'buf'), ['generate', '-o', folder], { cwd: example, env });
  const made = readFileSync(join(folder, 'generated', 'orders.ts'), 'utf8');
  rmSync(folder, { recursive: true, force: true });
  expect(readFileSync(join(example, 'generated', 'orders.ts'), 'utf8')).toBe(made);
});
