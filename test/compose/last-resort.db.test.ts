import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { endEveryPostern } from '../support/run-postern.ts';
import { startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
});

const faultOnSignal = new URL('../support/fault-on-signal.mjs', import.meta.url).href;

test.each([
  ['SIGUSR2', 'uncaughtException', 'thrown where nobody catches'],
  ['SIGWINCH', 'unhandledRejection', 'rejected where nobody listens'],
] as const)('O07 after %s, an %s is logged and ends the process', async (signal, event, message) => {
  const service = await startServiceProcess(database.url, { NODE_OPTIONS: `--import=${faultOnSignal}` });
  service.running.kill(signal);
  const { exitCode, stderr } = await service.running.end;
  expect(exitCode).toBe(1);
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { level: string; event: string; cause?: { message: string } });
  expect(lines.filter(({ level }) => level === 'fatal')).toEqual([
    expect.objectContaining({ event, cause: expect.objectContaining({ message }) as object }),
  ]);
});

test('O07 the service starts again afterwards', async () => {
  const service = await startServiceProcess(database.url);
  await untilReady(service);
  await service.stop();
});
