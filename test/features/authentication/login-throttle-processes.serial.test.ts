import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { verdictOf } from '../../support/account.ts';
import { endEveryPostern } from '../../support/run-postern.ts';
import { type ServiceProcess, startServiceProcess } from '../../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { addUser } from '../../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
/** Failures without a delay. */
const limit = 5;
let database: TestDatabase;
let one: ServiceProcess;
let two: ServiceProcess;
beforeAll(async () => {
  database = await createTestDatabase();
  await addUser(database, email, password);
  [one, two] = await Promise.all([startServiceProcess(database.url), startServiceProcess(database.url)]);
});
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
});

const login = async (at: ServiceProcess, typed: string) =>
  verdictOf(await at.call('postern.v1.AuthService/Login', { email, password: typed }));

test('L09 L11 two hundred parallel guesses over two processes stay within the limit, and kill -9 loses no count', async () => {
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, n) => login(n % 2 ? one : two, `guess ${n}`)),
  );
  const evaluated = answers.filter((answer) => answer === 'INVALID_CREDENTIALS').length;
  expect(evaluated).toBeGreaterThan(0);
  // On a slow machine a delay may end before the last guess.
  expect(evaluated).toBeLessThanOrEqual(limit + 2);
  // The delay after the limit is far longer than a restart.
  await database.query(
    `UPDATE login_throttle SET blocked_until = now() + interval '1 minute' WHERE blocked_until IS NOT NULL`,
  );

  two.running.kill('SIGKILL');
  await two.running.end;
  expect(await login(one, password)).toBe('LOGIN_RATE_LIMITED');
  const restarted = await startServiceProcess(database.url);
  expect(await login(restarted, password)).toBe('LOGIN_RATE_LIMITED');
  await database.query(`UPDATE login_throttle SET blocked_until = now()`);
  expect(await login(restarted, password)).toBe('OK');
}, 60_000);
