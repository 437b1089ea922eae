import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import * as grpc from '@grpc/grpc-js';
import { afterAll, expect, jest, test } from '@jest/globals';

import { isAlive, postmasterOf } from '../../src/database/embedded/process-state.ts';
import { endEveryPostern, runPostern, startPostern, type RunningPostern } from '../support/run-postern.ts';
import { invoke } from '../support/test-service.ts';
import { anyPorts } from '../support/service-environment.ts';

jest.setTimeout(30_000);

const folders: string[] = [];
afterAll(async () => {
  await endEveryPostern();
  for (const folder of folders) {
    // A killed service leaves its server running for the next start; after the last test there is none.
    const orphan = postmasterOf(join(folder, 'pgdata'));
    if (orphan !== null) {
      process.kill(orphan, 'SIGQUIT');
      await until(() => !isAlive(orphan), 'the orphan ends');
    }
    rmSync(folder, { recursive: true, force: true });
  }
});

function newFolder(...below: string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'postern-embedded-'));
  const folder = join(root, ...below);
  folders.push(folder);
  if (folder !== root) folders.push(root);
  return folder;
}

const environmentOf = (dataDir: string) => ({
  POSTERN_DATA_DIR: dataDir,
  ...anyPorts,
  POSTERN_HASH_CONCURRENCY: '1',
});
const serve = (dataDir: string) => startPostern(['serve'], { environment: environmentOf(dataDir) });
const listUsers = (dataDir: string) =>
  runPostern(['user', 'list', '--json'], { environment: environmentOf(dataDir) });

async function emailsIn(dataDir: string): Promise<string[]> {
  const { exitCode, stdout, stderr } = await listUsers(dataDir);
  if (exitCode !== 0) throw new Error(stderr);
  return (JSON.parse(stdout) as { email: string }[]).map(({ email }) => email);
}

function serverOf(dataDir: string): number {
  return Number.parseInt(readFileSync(join(dataDir, 'pgdata', 'postmaster.pid'), 'utf8'), 10);
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = Date.now() + 15_000;
  while (!(await holds())) {
    if (Date.now() > deadlineMs) throw new Error(`in 15 s it did not happen that ${what}`);
    await pause(20);
  }
}

const demoLine = /A demo user was created.*: {2}(\S+) {2}(\S+)\n/;

async function loginAsDemo(service: RunningPostern, password: string): Promise<grpc.status> {
  const client = new grpc.Client((await service.listening).grpc, grpc.credentials.createInsecure());
  const request = { email: 'demo@example.com', password };
  const { code } = await invoke(client, 'postern.v1.AuthService/Login', request);
  client.close();
  return code;
}

async function stop(service: RunningPostern, dataDir: string): Promise<void> {
  const server = serverOf(dataDir);
  service.kill('SIGTERM');
  expect((await service.end).exitCode).toBe(0);
  expect(isAlive(server)).toBe(false);
}

test('one data directory through first start, a second service, kills and stop', async () => {
  const dataDir = newFolder();
  mkdirSync(join(dataDir, 'pgdata.new-999999'));

  const first = serve(dataDir);
  const listening = await first.listening;
  expect(listening.event).toBe('listening');
  expect(first.output.stdout).toBe(`${JSON.stringify(listening)}\n`);
  const password = demoLine.exec(first.output.stderr)?.[2] ?? 'no password was shown';
  expect(await loginAsDemo(first, password)).toBe(grpc.status.OK);
  expect(existsSync(join(dataDir, 'pgdata.new-999999'))).toBe(false);

  // While the service runs, a second one is refused and a command works.
  const second = await serve(dataDir).end;
  expect(second.exitCode).toBe(4);
  expect(second.stderr).toContain(`process ${listening.pid}`);
  expect(second.stderr).toContain('POSTERN_DATA_DIR');
  expect(second.stdout).toBe('');
  expect(await emailsIn(dataDir)).toEqual(['demo@example.com']);

  // D13: what was acknowledged survives a kill of the service, and the next start takes over the server that is left.
  first.kill('SIGKILL');
  expect((await first.end).exitCode).toBeNull();
  const again = serve(dataDir);
  await again.listening;
  expect(again.output.stderr).not.toMatch(demoLine);
  expect(await loginAsDemo(again, password)).toBe(grpc.status.OK);

  // A server that dies under a running service is started again.
  const server = serverOf(dataDir);
  process.kill(server, 'SIGKILL');
  await until(() => !isAlive(server), 'the killed server is gone');
  await until(
    async () => (await loginAsDemo(again, password)) === grpc.status.OK,
    'the service logs in again',
  );
  expect(serverOf(dataDir)).not.toBe(server);

  await stop(again, dataDir);

  // A command without a running service starts a server only for its own run.
  expect(await emailsIn(dataDir)).toEqual(['demo@example.com']);
  expect(postmasterOf(join(dataDir, 'pgdata'))).toBeNull();
  expect(existsSync(join(dataDir, 'pgdata', 'postmaster.pid'))).toBe(false);
});

test('a folder too deep for a unix socket works', async () => {
  const dataDir = newFolder('d'.repeat(60), 'e'.repeat(60));
  const service = serve(dataDir);
  await service.listening;
  await stop(service, dataDir);
});

test('two first starts at once: one serves, the other is refused', async () => {
  const dataDir = newFolder();
  const both = [serve(dataDir), serve(dataDir)];
  const outcomes = await Promise.all(
    both.map((service) =>
      Promise.race([
        service.listening.then(
          () => 'serves' as const,
          () => service.end,
        ),
        service.end,
      ]),
    ),
  );
  expect(outcomes.filter((outcome) => outcome === 'serves')).toHaveLength(1);
  const winner = both[outcomes.indexOf('serves')];
  const loser = outcomes.find((outcome) => outcome !== 'serves');
  if (!winner || !loser) throw new Error('nobody serves');
  expect(loser).toMatchObject({ exitCode: 4, stdout: '' });
  expect(loser.stderr).toContain(`process ${(await winner.listening).pid}`);
  expect(loser.stderr).toContain('POSTERN_DATA_DIR');
  await stop(winner, dataDir);
});
