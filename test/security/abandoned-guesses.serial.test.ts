import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';

import { status } from '@grpc/grpc-js';
import { hashSync } from '@node-rs/argon2';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { LOGIN_THROTTLE_POLICY } from '../../src/features/authentication/throttle/throttle-policy.ts';
import { auditRateLimits } from '../../src/features/audit/audit-rate-limiter.ts';
import { until } from '../support/wait-for.ts';
import { scrape } from '../support/scrape.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { type Message, methodOf, startTestService, type TestService } from '../support/test-service.ts';

const password = 'correct horse battery';
/** The dearest hash that is allowed: every refusal is delayed for longer than the callers here wait, 0.4 s on a quick machine. */
const slowHash = hashSync('another', { memoryCost: 131_072, timeCost: 10 });
const callTimeoutMs = 250;
const guesses = 119;
const free = LOGIN_THROTTLE_POLICY.delaysSeconds.findIndex((delay) => delay > 0) + 1;

let database: TestDatabase;
let service: TestService;
let session: ClientHttp2Session;
let email: string;
let count = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(
    `INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'slow@example.com', $1)`,
    [slowHash],
  );
  service = await startTestService({ POSTERN_TRUSTED_PROXIES: '127.0.0.0/8' }, database);
  // The service measures the slow hash in the one hashing thread; a concurrent guess would wait in the queue.
  await untilHashingIsIdle();
}, 60_000);
afterAll(async () => {
  await service.stop();
  await database.drop();
});
afterEach(() => session.destroy());
beforeEach(async () => {
  await database.query('DELETE FROM login_throttle');
  await database.query('DELETE FROM audit_events');
  service.logLines.length = 0;
  session = connect(`http://${service.grpcAddress}`);
  count += 1;
  email = `user${count}@example.com`;
  await service.addUser(email, password);
});

async function untilHashingIsIdle(): Promise<void> {
  let idle = 0;
  await until(
    async () => {
      const isIdle = (await scrape(service.httpUrl)).value('postern_hash_running') === 0;
      idle = isIdle ? idle + 1 : 0;
      // One poll may fall between two measurements.
      return idle === 3;
    },
    'the hashing thread to be idle',
    30_000,
  );
}

/** A call on the HTTP/2 connection itself, so that it can be abandoned in every possible way. */
function send(method: string, request: Message, headers: Record<string, string> = {}): ClientHttp2Stream {
  const { path, requestSerialize } = methodOf(`postern.v1.AuthService/${method}`);
  const message = requestSerialize(request);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  stream.resume();
  stream.end(Buffer.concat([prefix, message]));
  return stream;
}

const ended = (stream: ClientHttp2Stream): Promise<void> =>
  stream.closed ? Promise.resolve() : new Promise<void>((resolve) => stream.once('close', () => resolve()));

const refusals = async (reason: string) => {
  const [row] = await database.query(
    `SELECT count(*)::int AS n FROM audit_events WHERE outcome = 'refused' AND reason = $1`,
    [reason],
  );
  return Number(row?.['n']);
};

const failures = async () => {
  const [row] = await database.query('SELECT coalesce(sum(failures), 0)::int AS n FROM login_throttle');
  return Number(row?.['n']);
};
const lines = (event: string, reason: string) =>
  service.logLines.filter(
    (line) => line.includes(`"event":"${event}"`) && line.includes(`"reason":"${reason}"`),
  ).length;
const reasonsCounted = async (reason: string) =>
  (await scrape(service.httpUrl)).value('postern_rpc_refusals_total', { reason }) ?? 0;
const evaluated = () => refusals('INVALID_CREDENTIALS');
const throttled = () => refusals('LOGIN_RATE_LIMITED');

/** The ways in which a caller abandons a call; the latest moment is when the deadline passes. */
const departures = {
  'lets the deadline pass': ended,
  'resets the stream': async (stream: ClientHttp2Stream, isKnown: () => Promise<boolean>) => {
    await until(async () => stream.closed || (await isKnown()), 'a verdict, or the deadline');
    stream.close(constants.NGHTTP2_CANCEL);
    await ended(stream);
  },
  'cuts the connection': async (stream: ClientHttp2Stream, isKnown: () => Promise<boolean>) => {
    await until(async () => stream.closed || (await isKnown()), 'a verdict, or the deadline');
    session.destroy();
    await ended(stream);
    session = connect(`http://${service.grpcAddress}`);
  },
} as const;

const timeout = { 'grpc-timeout': `${callTimeoutMs}m` };
/** Ends long before the check of a slow hash. */
const shortTimeout = { 'grpc-timeout': '200m' };

/** Gives the user a hash that takes longer than `shortTimeout`; a successful login replaces it by a quick one. */
const slowDown = () =>
  database.query('UPDATE users SET password_hash = $2 WHERE email = $1', [email, slowHash]);

test('L09 a login with the right password that is abandoned opens no session and counts as no failure', async () => {
  const client = { address: '198.51.100.1' };
  const request = { email, password: 'another', client };
  await slowDown();
  for (let time = 0; time < free + 1; time += 1) {
    await ended(send('Login', request, shortTimeout));
    await untilHashingIsIdle();
  }
  await until(async () => (await failures()) === 0, 'the release of the reservations');
  expect(await database.query('SELECT id FROM sessions')).toEqual([]);
  expect((await service.call('postern.v1.AuthService/Login', request)).code).toBe(status.OK);
}, 60_000);

test('L09 O03 abandoned guesses of the current password at ChangePassword count', async () => {
  const { response } = await service.call('postern.v1.AuthService/Login', { email, password });
  await slowDown();
  await database.query('DELETE FROM login_throttle');
  const headers = { ...shortTimeout, authorization: `Bearer ${String(response?.['access_token'])}` };
  for (let guess = 1; guess <= 2 * free && lines('call', 'LOGIN_RATE_LIMITED') === 0; guess += 1) {
    const request = { current_password: `wrong ${guess}`, new_password: 'a staple for the horse' };
    await ended(send('ChangePassword', request, headers));
    await untilHashingIsIdle();
  }
  expect(lines('call', 'LOGIN_RATE_LIMITED')).toBe(1);
  await until(async () => (await evaluated()) === free, 'an event for each guess');
}, 60_000);

describe('L09 O03 abandoned guesses are throttled and audited like others', () => {
  test.each([
    ...Object.entries(departures).map(
      ([how, leave]) => [how, 'while the refusal is delayed', leave, false] as const,
    ),
    ['lets the deadline pass', 'while the hash runs', ended, true] as const,
  ])(
    'when the caller %s %s',
    async (_how, _when, leave, isSlow) => {
      if (isSlow) await slowDown();
      // One source for each: the audit trail limits the refusals of one source.
      const client = { address: `192.0.2.${count}` };
      const countedBefore = await reasonsCounted('INVALID_CREDENTIALS');
      for (let guess = 1; guess <= guesses; guess += 1) {
        const before = await evaluated();
        const stream = send(
          'Login',
          { email, password: `wrong ${guess}`, client },
          isSlow ? shortTimeout : timeout,
        );
        await leave(stream, async () => (await evaluated()) > before);
        // A guess concurrent with a slow one would wait in the queue and be abandoned there, without an evaluation.
        if (isSlow) await untilHashingIsIdle();
      }
      // Guesses that got no turn beside the delayed ones were not evaluated; all others have their event.
      const throttledCalls = () => lines('call', 'LOGIN_RATE_LIMITED');
      await until(
        async () =>
          throttledCalls() > 0 &&
          (await throttled()) >= throttledCalls() &&
          lines('unheard-refusal', 'INVALID_CREDENTIALS') >= free,
        'an event for every guess that was evaluated or throttled',
      );
      expect(guesses).toBeLessThan(auditRateLimits.perSource);
      // A delay may end before the last guess.
      expect(await evaluated()).toBeLessThanOrEqual(free + 3);
      expect(await evaluated()).toBeGreaterThanOrEqual(free);
      expect(await reasonsCounted('INVALID_CREDENTIALS')).toBeGreaterThanOrEqual(countedBefore + free);
      const right = await service.call('postern.v1.AuthService/Login', {
        email,
        password: isSlow ? 'another' : password,
        client,
      });
      expect(right.reason).toBe('LOGIN_RATE_LIMITED');
    },
    120_000,
  );
});
