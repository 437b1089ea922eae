import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';

import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';

import { until } from '../support/wait-for.ts';
import { openPipe, type Pipe } from '../support/pipe.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { scrape } from '../support/scrape.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser, masterKey } from '../support/test-service.ts';

const VERIFY = 'postern.v1.AuthService/VerifyToken';
const email = 'ann@example.com';
const password = 'correct horse battery';
const faultOnSignal = new URL('../support/fault-on-signal.mjs', import.meta.url).href;
let database: TestDatabase;
let pipe: Pipe;
const opened: number[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  await addUser(database, email, password);
});
afterEach(async () => {
  await endEveryPostern();
  for (const fd of opened.splice(0)) closeSync(fd);
});
afterAll(() => database.drop());

function fullDisk(): number {
  const fd = openSync('/dev/full', 'w');
  opened.push(fd);
  return fd;
}

async function tokenAt(service: ServiceProcess): Promise<string> {
  const { response, message } = await service.call('postern.v1.AuthService/Login', { email, password });
  if (!response) throw new Error(message);
  return String(response['access_token']);
}

/** Keeps 50 calls in flight until `calls` were answered. @returns how often each code occurred */
async function flood(service: ServiceProcess, token: string, calls: number): Promise<Map<number, number>> {
  const codes = new Map<number, number>();
  let left = calls;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      const { code } = await service.call(VERIFY, { access_token: token });
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 50 }, worker));
  return codes;
}

/** Probes VerifyToken and /livez repeatedly, each for at most 5 s. @returns a function that stops and counts the rounds */
function probing(service: ServiceProcess, token: string): () => Promise<number> {
  const state = { times: 0, going: true };
  const rounds = (async () => {
    while (state.going) {
      const live = fetch(`${service.httpUrl}/livez`, { signal: AbortSignal.timeout(5_000) });
      const [{ code }, { status: livez }] = await Promise.all([
        service.call(VERIFY, { access_token: token }),
        live,
      ]);
      expect([code, livez]).toEqual([status.OK, 200]);
      state.times += 1;
    }
  })();
  return async () => {
    state.going = false;
    await rounds;
    return state.times;
  };
}

const linesLost = async (service: ServiceProcess) =>
  (await scrape(service.httpUrl)).value('postern_log_lines_lost_total') ?? NaN;

test('O03 while nobody reads the log, 5000 junk calls, valid calls and /livez are answered, and SIGTERM ends the process with 0', async () => {
  pipe = openPipe();
  const service = await startServiceProcess(database.url, {}, 0, { stderr: pipe.writer });
  await untilReady(service);
  const token = await tokenAt(service);
  const endProbes = probing(service, token);
  const codes = await flood(service, `${token.slice(0, -8)}AAAAAAAA`, 5_000);
  expect(await endProbes()).toBeGreaterThan(3);
  expect([...codes]).toEqual([[status.UNAUTHENTICATED, 5_000]]);
  service.running.kill('SIGTERM');
  expect((await service.running.end).exitCode).toBe(0);
  pipe.close();
}, 90_000);

test('O03 log lines beyond the buffer are dropped, counted, and reported once the log is read again', async () => {
  pipe = openPipe();
  const debugLog = { POSTERN_LOG_LEVEL: 'debug' };
  const service = await startServiceProcess(database.url, debugLog, 0, { stderr: pipe.writer });
  await untilReady(service);
  const token = await tokenAt(service);
  const endProbes = probing(service, token);
  while ((await linesLost(service)) === 0) await flood(service, token, 500);
  expect(await endProbes()).toBeGreaterThan(3);

  let text = '';
  const reportedLines = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { event: string; lines?: number })
      .filter(({ event }) => event === 'log-lines-lost')
      .reduce((sum, { lines = 0 }) => sum + lines, 0);
  await until(async () => {
    text += pipe.read();
    return reportedLines() > 0 && reportedLines() === (await linesLost(service));
  }, 'all lost lines are reported');
  await service.stop();
  pipe.close();
}, 90_000);

test('O03 O07 on a full disk the service starts, works, counts the lines that it cannot write, and ends with 0', async () => {
  const service = await startServiceProcess(database.url, {}, 0, { stderr: fullDisk() });
  await untilReady(service);
  const token = await tokenAt(service);
  const endProbes = probing(service, token);
  await flood(service, 'junk', 5_000);
  expect(await endProbes()).toBeGreaterThan(3);
  expect(await linesLost(service)).toBeGreaterThan(300);
  service.running.kill('SIGTERM');
  expect((await service.running.end).exitCode).toBe(0);
}, 90_000);

test('O03 a log reader that goes away does not stop the service', async () => {
  pipe = openPipe();
  const service = await startServiceProcess(database.url, {}, 0, { stderr: pipe.writer });
  await untilReady(service);
  pipe.abandon();
  const token = await tokenAt(service);
  await flood(service, 'junk', 100);
  expect((await service.call(VERIFY, { access_token: token })).code).toBe(status.OK);
  expect(await linesLost(service)).toBeGreaterThan(50);
  pipe.attend();
  await flood(service, token, 1);
  await tokenAt(service);
  await until(() => pipe.read().includes('"event":"log-lines-lost"'), 'the loss is reported');
  await service.stop();
  pipe.close();
}, 60_000);

test.each([
  ['nobody reads', () => ((pipe = openPipe()), fill(pipe), pipe.writer)],
  ['the disk is full', fullDisk],
])(
  'O07 an unexpected fault ends the process with 1 also while %s',
  async (_name, stderr) => {
    const service = await startServiceProcess(
      database.url,
      { NODE_OPTIONS: `--import=${faultOnSignal}` },
      0,
      {
        stderr: stderr(),
      },
    );
    const startedMs = performance.now();
    service.running.kill('SIGUSR2');
    expect((await service.running.end).exitCode).toBe(1);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  },
  30_000,
);

/** Fills the buffer of the pipe. */
function fill({ writer }: Pipe): void {
  const fd = openSync(`/proc/self/fd/${writer}`, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(fd, '.'.repeat(4_096));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
  } finally {
    closeSync(fd);
  }
}

test.each([
  ['nobody reads', () => ((pipe = openPipe()), fill(pipe), pipe.writer)],
  ['the disk is full', fullDisk],
])(
  'the line on standard output and the log do not block start and stop while %s',
  async (_name, output) => {
    const folder = mkdtempSync(`${tmpdir()}/postern-`);
    const taken = output();
    const running = startPostern(['serve'], {
      environment: {
        DATABASE_URL: database.url,
        POSTERN_MASTER_KEY: masterKey,
        POSTERN_GRPC_LISTEN: `unix:${folder}/grpc`,
        POSTERN_HTTP_LISTEN: `unix:${folder}/http`,
      },
      stdout: taken,
      stderr: taken,
    });
    const probe = () =>
      new Promise<number>((resolve) => {
        request({ socketPath: `${folder}/http`, path: '/readyz' }, (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        })
          .on('error', () => resolve(0))
          .end();
      });
    await until(async () => (await probe()) === 200, 'it is ready');
    running.kill('SIGTERM');
    expect((await running.end).exitCode).toBe(0);
    rmSync(folder, { recursive: true });
  },
  30_000,
);

test.each([
  ['nobody reads', () => ((pipe = openPipe()), fill(pipe), pipe.writer)],
  ['the disk is full', fullDisk],
])(
  'invalid settings end the start with 3 also while %s',
  async (_name, stderr) => {
    for (const words of [['serve'], ['sidecar', '--upstream', '127.0.0.1:1']]) {
      const running = startPostern(words, { environment: { POSTERN_AUDIENC: 'x' }, stderr: stderr() });
      expect((await running.end).exitCode).toBe(3);
    }
  },
  20_000,
);
