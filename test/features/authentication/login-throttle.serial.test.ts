import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { LOGIN_THROTTLE_POLICY } from '../../../src/features/authentication/throttle/throttle-policy.ts';
import { RetryInfo } from '../../../src/generated/google/rpc/error_details.ts';
import { Status } from '../../../src/generated/google/rpc/status.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { type Outcome, startTestService, type TestService } from '../../support/test-service.ts';

const password = 'correct horse battery';
const free = LOGIN_THROTTLE_POLICY.delaysSeconds.findIndex((delay) => delay > 0) + 1;
let store: TestDatabase;
let one: TestService;
let two: TestService;
let email: string;
let count = 0;
beforeAll(async () => {
  store = await createTestDatabase();
  const environment = { POSTERN_TRUSTED_PROXIES: '127.0.0.1/32,::1/128' };
  one = await startTestService(environment, store);
  two = await startTestService(environment, store);
});
afterAll(async () => {
  await one.stop();
  await two.stop();
  await store.drop();
});
beforeEach(async () => {
  count += 1;
  email = `user${count}@example.com`;
  await one.addUser(email, password);
});

const login = (given: string, address = '', service = one, who = email) =>
  service.call('postern.v1.AuthService/Login', {
    email: who,
    password: given,
    client: { address, user_agent: '' },
  });

async function guess(times: number, address = '', who = email): Promise<(string | undefined)[]> {
  const reasons: (string | undefined)[] = [];
  for (let n = 0; n < times; n += 1) reasons.push((await login('wrong', address, one, who)).reason);
  return reasons;
}

function retryAfterSeconds({ trailers }: Outcome): number {
  const [bytes] = trailers.get('grpc-status-details-bin');
  const details = bytes instanceof Buffer ? Status.decode(bytes).details : [];
  const info = details.find(({ typeUrl }) => typeUrl.endsWith('google.rpc.RetryInfo'));
  const delay = info && RetryInfo.decode(info.value).retryDelay;
  return delay ? delay.seconds + delay.nanos / 1e9 : NaN;
}

/** Ages every counter by this interval. */
const advance = (interval: string) =>
  store.query(
    `UPDATE login_throttle SET blocked_until = blocked_until - $1::interval, expires_at = expires_at - $1::interval,
            known_until = known_until - $1::interval`,
    [interval],
  );

test('L10 five failures cause no delay, later ones a growing delay, which ends by itself', async () => {
  expect(await guess(free)).toEqual(Array.from({ length: free }, () => 'INVALID_CREDENTIALS'));
  const refused = await login(password);
  expect([refused.code, refused.reason]).toEqual([status.RESOURCE_EXHAUSTED, 'LOGIN_RATE_LIMITED']);
  expect(retryAfterSeconds(refused)).toBeGreaterThan(1);
  expect(retryAfterSeconds(refused)).toBeLessThanOrEqual(5);
  await advance('5 seconds');
  expect(await guess(1)).toEqual(['INVALID_CREDENTIALS']);
  const again = await login(password);
  expect(retryAfterSeconds(again)).toBeGreaterThan(5);
  await advance('10 seconds');
  expect((await login(password)).code).toBe(status.OK);
  // The right password resets the count of the source and raises its allowance.
  const known = free + LOGIN_THROTTLE_POLICY.knownSourceAllowance;
  expect(await guess(known)).toEqual(Array.from({ length: known }, () => 'INVALID_CREDENTIALS'));
  expect(await guess(1)).toEqual(['LOGIN_RATE_LIMITED']);
});

test('L01 L10 an unknown e-mail is throttled in the same way', async () => {
  const nobody = `nobody-${email}`;
  expect(await guess(free + 1, '', nobody)).toEqual(await guess(free + 1));
});

test('L09 of two hundred parallel guesses over two instances no more than the limit are evaluated', async () => {
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, n) => login('wrong', '192.0.2.7', n % 2 ? one : two)),
  );
  const evaluated = answers.filter(({ reason }) => reason === 'INVALID_CREDENTIALS').length;
  expect(evaluated).toBeGreaterThan(0);
  // On a slow machine a delay may end before the last guess.
  expect(evaluated).toBeLessThanOrEqual(free + 2);
});

test('L10 concurrent successful logins of one user do not throttle each other', async () => {
  const answers = await Promise.all(Array.from({ length: 60 }, () => login(password, '192.0.2.9')));
  expect(answers.filter(({ code }) => code !== status.OK)).toEqual([]);
});

test('L10 a flood from one source does not lock the owner out at another source', async () => {
  await guess(free + 5, '192.0.2.7');
  expect((await login(password, '192.0.2.7')).reason).toBe('LOGIN_RATE_LIMITED');
  expect((await login(password, '198.51.100.4')).code).toBe(status.OK);
});

test('L10 guesses from many sources stop at a hundred, but a source known for the user may still log in', async () => {
  expect((await login(password, '198.51.100.4')).code).toBe(status.OK);
  for (let source = 0; source < 20; source += 1) await guess(free, `192.0.2.${source}`);
  const stranger = await login(password, '203.0.113.1');
  expect(stranger.reason).toBe('LOGIN_RATE_LIMITED');
  expect(retryAfterSeconds(stranger)).toBeLessThanOrEqual(86_400);
  expect((await login(password, '198.51.100.4')).code).toBe(status.OK);
  await advance('1 day');
  expect((await login(password, '203.0.113.1')).code).toBe(status.OK);
}, 30_000);

test('O05 the counters contain no e-mail', async () => {
  await guess(1);
  const rows = await store.query('SELECT encode(key, $1) AS key FROM login_throttle', ['escape']);
  expect(JSON.stringify(rows)).not.toContain('example.com');
});

describe('L12 trust in `client.address`', () => {
  test('without trusted proxies the reported client address is ignored', async () => {
    const untrusting = await startTestService({}, store);
    for (let n = 0; n < free; n += 1) await login('wrong', `192.0.2.${n}`, untrusting);
    expect((await login(password, '198.51.100.9', untrusting)).reason).toBe('LOGIN_RATE_LIMITED');
    await untrusting.stop();
  });
});

test('delays never shrink and none is longer than an hour', () => {
  const { delaysSeconds: delays } = LOGIN_THROTTLE_POLICY;
  expect(delays).toEqual([...delays].sort((a, b) => a - b));
  expect(Math.max(...delays)).toBe(3600);
});
