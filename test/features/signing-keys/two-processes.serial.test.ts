import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { status } from '@grpc/grpc-js';
import { afterAll, expect, test } from '@jest/globals';

import { replacing } from '../../support/replaced-modules.ts';
import { endEveryPostern, startPostern } from '../../support/run-postern.ts';
import { createTestDatabase } from '../../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../../support/test-service.ts';
import { serviceEnvironment } from '../../support/service-environment.ts';

const children = new Set<ChildProcess>();
const running: TestService[] = [];
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const service of running) await service.stop();
  await endEveryPostern();
});

/** A process that starts its ten rotations at `go`. */
async function rotatingProcess(url: string, now: boolean) {
  const path = fileURLToPath(new URL('rotating-process.mjs', import.meta.url));
  const environment = { PATH: process.env.PATH, DATABASE_URL: url, MASTER_KEY: masterKey };
  const patient = replacing({
    'database/time-limits.js': new URL('../../support/patient-database-limits.mjs', import.meta.url),
  });
  const child = spawn(process.execPath, [...patient.nodeOptions, path], {
    env: { ...environment, ...patient.environment, NOW: now ? 'yes' : 'no' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.add(child);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('ready');
  return {
    go: () => child.stdin.write('go\n'),
    async kids(): Promise<string[]> {
      const line = (await lines.next()).value as string;
      await once(child, 'close');
      children.delete(child);
      return JSON.parse(line) as string[];
    },
  };
}

test.each([
  ['at once', true, 20, { active: 1, retired: 20 }],
  ['after the JWKS max-age', false, 1, { active: 1, pending: 1 }],
])(
  'K04 twenty rotations %s, from two processes under load, leave one active key',
  async (_when, now, newKeys, expected) => {
    const service = await startTestService();
    running.push(service);
    await service.addUser('ann@example.com', 'correct horse battery');
    let rotating = true;
    let calls = 0;
    const refused: unknown[] = [];
    const load = async () => {
      while (rotating) {
        const token = await service.tokenOf('ann@example.com', 'correct horse battery');
        const { code, reason } = await service.call('postern.v1.AuthService/VerifyToken', {
          access_token: token,
        });
        if (code !== status.OK) refused.push(reason ?? code);
        calls += 1;
      }
    };
    const underLoad = Promise.all([load(), load()]);

    const processes = await Promise.all([1, 2].map(() => rotatingProcess(service.database.url, now)));
    for (const { go } of processes) go();
    const kids = (await Promise.all(processes.map((each) => each.kids()))).flat();
    rotating = false;
    await underLoad;

    // Every rotation succeeds: each returns the key that it made, or the pending one.
    expect(kids.filter((kid) => !/^[A-Za-z0-9_-]{43}$/.test(kid))).toEqual([]);
    expect([kids.length, new Set(kids).size]).toEqual([20, newKeys]);
    const rows = await service.database.query('SELECT state, count(*)::int FROM signing_keys GROUP BY state');
    expect(Object.fromEntries(rows.map(({ state, count }) => [state, count]))).toEqual(expected);
    expect(refused).toEqual([]);
    expect(calls).toBeGreaterThan(0);
  },
  120_000,
);

test('K05 two services that start concurrently on an empty database make one key, and both publish it', async () => {
  for (let round = 0; round < 3; round++) {
    const database = await createTestDatabase({ empty: true });
    const environment = {
      ...serviceEnvironment(database.url),
    };
    const services = [1, 2].map(() => startPostern(['serve'], { environment }));
    const sets = await Promise.all(
      services.map(async ({ listening }) => {
        const { http } = await listening;
        return (await fetch(`http://${http}/.well-known/jwks.json`)).text();
      }),
    );
    const rows = await database.query('SELECT kid, state FROM signing_keys');
    expect(rows).toEqual([{ kid: expect.any(String) as unknown, state: 'active' }]);
    expect(sets[0]).toContain(`"${String(rows[0]?.['kid'])}"`);
    expect(sets[1]).toBe(sets[0]);
    for (const service of services) service.kill('SIGTERM');
    for (const { end } of services) expect((await end).exitCode).toBe(0);
    await database.drop();
  }
}, 120_000);
