import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

import { afterAll, expect, test } from '@jest/globals';

import { until } from '../support/wait-for.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { startServiceProcess } from '../support/service-process.ts';
import { createTestDatabase } from '../support/test-database.ts';
import { masterKey } from '../support/test-service.ts';

afterAll(endEveryPostern);

test('L18 in production no user exists until an operator creates one', async () => {
  const database = await createTestDatabase();
  const service = await startServiceProcess(database.url);
  expect(await database.query('SELECT count(*)::int AS n FROM users')).toEqual([{ n: 0 }]);
  expect(service.running.output.stderr).not.toMatch(/demo|password/i);
  await service.stop();
  await database.drop();
});

test('a database that keeps closing connections is reported once, in one line', async () => {
  let attempts = 0;
  const server = createServer((socket) => {
    attempts += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const service = await startServiceProcess(`postgres://nobody@127.0.0.1:${port}/none`);
  await until(() => attempts >= 10, 'ten attempts to connect');
  await service.stop();
  server.close();
  const lines = service.running.output.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; detail?: string; cause?: unknown });
  const database = lines.filter(({ event }) => event === 'database').map(({ detail }) => detail);
  expect(new Set(database).size).toBe(database.length);
  expect(database[0]).toMatch(/connect/);
  const away = lines.filter(({ event }) => event === 'store-unreachable');
  expect(away).toEqual([expect.objectContaining({ detail: expect.any(String) })]);
  expect(JSON.stringify([database, away])).not.toMatch(/ at |Error:/);
});

test.each([
  [
    'a placeholder as the shared secret',
    { POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: 'changeme' },
    'POSTERN_SECRET',
  ],
  [
    'zeros as the master key',
    { POSTERN_MASTER_KEY: Buffer.alloc(32).toString('base64') },
    'POSTERN_MASTER_KEY',
  ],
  ['no master key', { POSTERN_MASTER_KEY: '' }, 'POSTERN_MASTER_KEY'],
])('L18 %s keeps the service from starting', async (_what, environment, named) => {
  const production = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/postern', POSTERN_MASTER_KEY: masterKey };
  const { exitCode, stdout, stderr } = await runPostern(['serve'], {
    environment: { ...production, ...environment },
  });
  expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' });
  expect(stderr).toContain(named);
});
