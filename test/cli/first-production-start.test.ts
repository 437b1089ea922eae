import { afterAll, expect, test } from '@jest/globals';

import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { startServiceProcess } from '../support/service-process.ts';
import { createTestDatabase } from '../support/test-database.ts';
import { masterKey } from '../support/test-service.ts';

afterAll(endEveryPostern);

test('L18 in production nobody is there before an operator makes somebody', async () => {
  const database = await createTestDatabase();
  const service = await startServiceProcess(database.url);
  expect(await database.query('SELECT count(*)::int AS n FROM users')).toEqual([{ n: 0 }]);
  expect(service.running.output.stderr).not.toMatch(/demo|password/i);
  await service.stop();
  await database.drop();
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
