import { afterAll, expect, test } from '@jest/globals';

import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { masterKey } from '../support/test-service.ts';

afterAll(endEveryPostern);

test('a database that does not answer ends the command with exit code 4 within seconds', async () => {
  const startMs = Date.now();
  const environment = {
    DATABASE_URL: 'postgres://postern@127.0.0.1:1/postern',
    POSTERN_MASTER_KEY: masterKey,
  };
  const { exitCode, stderr } = await runPostern(['user', 'list'], { environment });
  expect(exitCode).toBe(4);
  expect(stderr).toMatch(/^postern: .*connect ECONNREFUSED 127\.0\.0\.1:1.*\n.*DATABASE_URL.*\n$/);
  expect(Date.now() - startMs).toBeLessThan(8_000);
});
