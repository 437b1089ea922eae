import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { RetryInfo } from '../../src/generated/google/rpc/error_details.ts';
import { Status } from '../../src/generated/google/rpc/status.ts';
import { argon2idHash } from '../../src/passwords/hashing/argon2id.ts';
import { endEveryPostern, type Listening, startPostern } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { invoke, type Outcome } from '../support/test-service.ts';
import { serviceEnvironment } from '../support/service-environment.ts';

const password = 'correct horse battery staple';
const method = 'postern.v1.AuthService/Login';
const connections = 4;
const FLOOD_MS = 4_000;
const hashMemoryKib = 19_456;
/** 800 calls with their buffers and timers, and garbage that is not collected yet. */
const slackKib = 96 * 1024;

let database: TestDatabase;
let listening: Listening;
let clients: grpc.Client[];

beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(
    `INSERT INTO users (id, email, password_hash)
     SELECT gen_random_uuid(), 'ann' || n || '@example.com', $1 FROM generate_series(0, 9) AS n`,
    [argon2idHash(password)],
  );
  listening = await startPostern(['serve'], {
    environment: {
      ...serviceEnvironment(database.url),
      POSTERN_HASH_CONCURRENCY: '1',
      POSTERN_LOG_LEVEL: 'fatal',
    },
  }).listening;
});
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
});
beforeEach(async () => {
  clients = Array.from(
    { length: connections },
    () =>
      new grpc.Client(listening.grpc, grpc.credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      }),
  );
  for (const client of clients) await login('ann0@example.com', client);
});
afterEach(() => clients.forEach((client) => client.close()));

interface Answer extends Outcome {
  readonly ms: number;
}

async function login(email: string, client = clients[0], options: grpc.CallOptions = {}): Promise<Answer> {
  if (!client) throw new Error('there is no connection');
  const startedMs = performance.now();
  const outcome = await invoke(client, method, { email, password }, undefined, options);
  return { ...outcome, ms: performance.now() - startedMs };
}

/** Concurrent logins with many unknown addresses, from several connections. */
function flood(calls: number, options: () => grpc.CallOptions = () => ({})): Promise<Answer>[] {
  return clients.flatMap((client, at) =>
    Array.from({ length: calls / connections }, (_, n) =>
      login(`unknown${at}.${n}@example.com`, client, options()),
    ),
  );
}

function memoryKib(field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${listening.pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
}

function retryAfterMs({ trailers }: Outcome): number {
  const [bytes] = trailers.get('grpc-status-details-bin');
  const details = bytes instanceof Buffer ? Status.decode(bytes).details : [];
  const info = details.find(({ typeUrl }) => typeUrl.endsWith('google.rpc.RetryInfo'));
  const delay = info && RetryInfo.decode(info.value).retryDelay;
  return delay ? delay.seconds * 1000 + delay.nanos / 1e6 : NaN;
}

test('L13 a flood of logins is refused early and with the right reason, in bounded memory, and has no effect afterwards', async () => {
  const beforeKib = process.platform === 'linux' ? memoryKib('VmRSS') : 0;
  const answers = await Promise.all(flood(800));
  const counts = new Map<string, number>();
  for (const { reason = 'none' } of answers) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  // On a busy machine a few get no database connection in time and say so, which is also a true reason.
  const refused = answers.filter(({ code }) => code === grpc.status.UNAVAILABLE);
  const served = answers.filter(({ reason }) => reason === 'INVALID_CREDENTIALS');

  expect({ answered: refused.length + served.length, counts }).toEqual({ answered: answers.length, counts });
  expect(counts.get('SERVER_OVERLOADED')).toBeGreaterThan(answers.length / 2);
  // The running one, the 64 in the queue, and those that arrived when places were free again.
  expect(served.length).toBeGreaterThanOrEqual(65);
  expect(served.length).toBeLessThan(280);
  expect(refused.length).toBeGreaterThan(answers.length / 2);
  for (const answer of refused) {
    expect(answer.code).toBe(grpc.status.UNAVAILABLE);
    expect(retryAfterMs(answer)).toBeGreaterThan(0);
    expect(retryAfterMs(answer)).toBeLessThan(10_000);
  }
  // No refused login waited in the queue: the last one that was served waited longest. A refusal is paced by up to a second.
  const longest = (of: Answer[]) => Math.max(...of.map(({ ms }) => ms));
  expect(longest(refused)).toBeLessThan(longest(served) + 1_000);
  if (process.platform === 'linux') {
    expect(memoryKib('VmHWM')).toBeLessThan(beforeKib + hashMemoryKib + slackKib);
  }

  const after = await login('ann1@example.com');
  expect(after.code).toBe(grpc.status.OK);
  expect(after.ms).toBeLessThan(1000);
});

test('L14 cancelled logins leave the queue: the next one is served at once', async () => {
  const calls: grpc.InterceptingCall[] = [];
  const interceptors: grpc.Interceptor[] = [
    (options, nextCall) => {
      const call = new grpc.InterceptingCall(nextCall(options));
      calls.push(call);
      return call;
    },
  ];
  const answers = flood(320, () => ({ interceptors }));
  // The first SERVER_OVERLOADED shows that the queue is full.
  await Promise.any(
    answers.map(async (answer) => {
      if ((await answer).reason !== 'SERVER_OVERLOADED') throw new Error('another answer');
    }),
  );
  for (const call of calls) call.cancelWithStatus(grpc.status.CANCELLED, 'gone');
  // A call that a connection answers now was read after the cancellations.
  await Promise.all(clients.map((client) => invoke(client, 'postern.v1.AuthService/GetJwks', {})));
  const after = await login('ann2@example.com');
  expect(after.code).toBe(grpc.status.OK);
  expect(after.ms).toBeLessThan(1000);
  const codes = (await Promise.all(answers)).map(({ code }) => code);
  expect(codes.filter((code) => code === grpc.status.CANCELLED).length).toBeGreaterThan(60);
});

test('L14 logins whose deadline passes in the queue leave it', async () => {
  const answers = await Promise.all(flood(320, () => ({ deadline: Date.now() + 300 })));
  const codes = new Set(answers.map(({ code }) => code));
  expect([...codes].every((code) => [14, 4, 16].includes(code))).toBe(true);
  const after = await login('ann3@example.com');
  expect(after.code).toBe(grpc.status.OK);
  expect(after.ms).toBeLessThan(1000);
});

/** Few enough to wait less than the second that a refusal takes at most: then their number does not decide the rate. */
const CALLERS_WHO_COME_BACK = 150;

test('L15 callers who come back 20 ms after each refusal are refused at a bounded rate, and without the database', async () => {
  const rows = async (table: string) => {
    const [row] = await database.query(`SELECT count(*)::integer AS count FROM ${table}`);
    return Number(row?.['count']);
  };
  const before = { throttle: await rows('login_throttle'), audit: await rows('audit_events') };
  const startedMs = performance.now();
  const counts = { served: 0, refused: 0 };
  const comeBack = async (caller: number) => {
    for (let turn = 0; performance.now() < startedMs + FLOOD_MS; turn += 1) {
      const { reason } = await login(`back${caller}.${turn}@example.com`, clients[caller % connections]);
      counts[reason === 'SERVER_OVERLOADED' ? 'refused' : 'served'] += 1;
      if (reason === 'SERVER_OVERLOADED') await pause(20);
    }
  };
  await Promise.all(Array.from({ length: CALLERS_WHO_COME_BACK }, (_, caller) => comeBack(caller)));
  const seconds = (performance.now() - startedMs) / 1_000;
  // 200 in a second, and the first 20 at once.
  expect(counts.refused).toBeGreaterThan(200);
  expect(counts.refused).toBeLessThan(200 * seconds + 100);
  // An attempt has two rows in the throttle, and a wrong password one in the audit trail. When the machine slows down, a
  // login that was admitted may still be refused in the hash queue.
  const attempts = ((await rows('login_throttle')) - before.throttle) / 2;
  expect(attempts).toBeLessThanOrEqual(counts.served + counts.refused / 10);
  expect((await rows('audit_events')) - before.audit).toBeLessThanOrEqual(counts.served);
});
