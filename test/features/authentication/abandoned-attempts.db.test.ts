import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { canonicalEmail } from '../../../src/features/users/email.ts';
import { invalidCredentials } from '../../../src/features/authentication/login-verdict.ts';
import { ConcurrencyLimit } from '../../../src/domain/concurrency/concurrency-limit.ts';
import { LoginThrottle } from '../../../src/features/authentication/throttle/login-throttle.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

let database: TestDatabase;
let throttle: LoginThrottle;
beforeAll(async () => {
  database = await createTestDatabase();
  throttle = new LoginThrottle(
    database.database,
    () => new Uint8Array(32),
    new ConcurrencyLimit(10, () => 0),
  );
});
afterAll(() => database.drop());

const canonical = canonicalEmail('ann@example.com');
if (!canonical.ok) throw new Error('a good e-mail was refused');
const subject = { email: canonical.email, address: '192.0.2.1' };
const failures = async () => {
  const rows = await database.query('SELECT failures FROM login_throttle ORDER BY failures');
  return rows.map((row) => Number(row['failures']));
};
const wrong = () => Promise.resolve(invalidCredentials('wrong-password', undefined));

test('L09 an attempt cancelled while it is being recorded is not evaluated and leaves no count behind', async () => {
  expect(await throttle.guard(subject, testCall(), wrong)).toMatchObject({
    refusal: { kind: 'invalid-credentials', account: expect.stringMatching(/^[0-9a-f]{16}$/) as unknown },
  });
  expect(await failures()).toEqual([1, 1]);
  const left = new AbortController();
  const call = { ...testCall(), signal: left.signal };
  const { refused } = await database.database.transaction(testCall(), async (trx) => {
    await trx.raw('SELECT FROM login_throttle FOR UPDATE');
    const attempt = throttle.guard(subject, call, async () => {
      await database.database.run(call, (db) => db.raw('SELECT 1'));
      return { ok: true, value: null };
    });
    await untilBlocked(
      database,
      attempt.catch(() => undefined),
    );
    left.abort();
    return { refused: expect(attempt).rejects.toMatchObject({ rejection: { kind: 'cancelled' } }) };
  });
  await refused;
  await untilFailures([1, 1]);
});

test('L09 an attempt cancelled before its turn takes no place in a counter', async () => {
  const call = { ...testCall(), signal: AbortSignal.abort() };
  const evaluate = () => Promise.reject(new Error('evaluated for nobody'));
  await expect(throttle.guard(subject, call, evaluate)).rejects.toMatchObject({
    rejection: { kind: 'cancelled' },
  });
  expect(await failures()).toEqual([1, 1]);
});

test('L02 the waiting time of the next attempt does not reveal how long the check before it took', async () => {
  const holdMs = 3_000;
  const held = () => Promise.resolve(invalidCredentials('wrong-password', undefined, holdMs));
  const other = { ...subject, address: '192.0.2.2' };
  const startedMs = performance.now();
  const width = 3;
  const first = Array.from({ length: width }, () => throttle.guard(other, testCall(), held));
  let nextAtMs: number | null = null;
  const next = throttle.guard(other, testCall(), () => {
    nextAtMs = performance.now() - startedMs;
    return Promise.resolve({ ok: true, value: nextAtMs });
  });
  // The verdicts themselves are returned at once; only the answer is delayed.
  for (const { ok } of await Promise.all(first)) expect(ok).toBe(false);
  expect(nextAtMs).toBeNull();
  const verdict = await next;
  expect(verdict.ok && verdict.value).toBeGreaterThanOrEqual(holdMs);
});

/** A reservation that does not count is released concurrently with the answer, so this waits. */
async function untilFailures(expected: number[]): Promise<void> {
  const untilMs = Date.now() + 60_000;
  while (JSON.stringify(await failures()) !== JSON.stringify(expected) && Date.now() < untilMs);
  expect(await failures()).toEqual(expected);
}
