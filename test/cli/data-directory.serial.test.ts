import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { anyPorts } from '../support/service-environment.ts';

const password = 'correct horse battery';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'postern-data-'));
});
afterAll(async () => {
  await endEveryPostern();
  rmSync(folder, { recursive: true, force: true });
});

const ports = anyPorts;
const run = (dataDir: string, words: readonly string[], stdin = '') =>
  runPostern(words, { environment: { ...ports, POSTERN_DATA_DIR: dataDir }, stdin });

test('migrate creates the database and says so; then users can be created', async () => {
  const dataDir = join(folder, 'made');
  const made = await run(dataDir, ['migrate']);
  expect(made).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(dataDir) });
  const user = ['user', 'create', '--email', 'ann@example.com', '--password-stdin'];
  expect(await run(dataDir, user, password)).toMatchObject({ exitCode: 0, stderr: '' });
  const again = await run(dataDir, ['migrate']);
  expect(again).toMatchObject({ exitCode: 0, stderr: '' });
  expect((await run(dataDir, ['user', 'list'])).stdout).toContain('ann@example.com');

  // An unreadable key must not be treated as a missing one.
  mkdirSync(join(dataDir, 'master.key'));
  const rotate = await run(dataDir, ['key', 'rotate']);
  expect(rotate).toMatchObject({ exitCode: 3, stdout: '' });
  expect(rotate.stderr).toContain('EISDIR');
  rmSync(join(dataDir, 'master.key'), { recursive: true });
  writeFileSync(join(dataDir, 'master.key'), 'short');
  expect(await run(dataDir, ['key', 'rotate'])).toMatchObject({ exitCode: 3, stdout: '' });
}, 60_000);

test('K07 doctor does not replace a lost master key', async () => {
  const dataDir = join(folder, 'lost key');
  for (const words of [['migrate'], ['key', 'rotate']])
    expect(await run(dataDir, words)).toMatchObject({ exitCode: 0 });
  const path = join(dataDir, 'master.key');
  rmSync(path);
  const { exitCode, stdout } = await run(dataDir, ['doctor']);
  expect(exitCode).toBe(3);
  expect(stdout).toContain(`FAIL  keys          ${path} `);
  expect(existsSync(path)).toBe(false);
}, 60_000);

test('an unusable data directory makes every command fail alike, and doctor', async () => {
  const file = join(folder, 'a file');
  writeFileSync(file, '');
  const below = join(file, 'below');
  for (const dataDir of [file, below]) {
    for (const words of [['serve'], ['migrate'], ['doctor'], ['user', 'list']]) {
      const { exitCode, stdout, stderr } = await run(dataDir, words);
      expect([words, exitCode]).toEqual([words, 3]);
      expect(stdout + stderr).toMatch(new RegExp(`${dataDir} .*\\(E`));
    }
  }
  expect(readdirSync(folder)).toContain('a file');
}, 60_000);

const onLinux = process.platform === 'linux' ? test : test.skip;
onLinux(
  'a data directory that cannot be created makes every command fail, and doctor finds it',
  async () => {
    for (const dataDir of ['/proc/nope', '/proc/nope/below']) {
      for (const words of [['serve'], ['migrate'], ['user', 'list']]) {
        const { exitCode, stdout, stderr } = await run(dataDir, words);
        expect([words, exitCode, stdout]).toEqual([words, 3, '']);
        expect(stderr).toMatch(new RegExp(`^postern: .*${dataDir} .*\\(E`, 'm'));
      }
      const { exitCode, stdout } = await run(dataDir, ['doctor']);
      expect(exitCode).toBe(3);
      expect(stdout).toMatch(new RegExp(`^FAIL  database      .*${dataDir} .*\\(E`, 'm'));
    }
  },
  60_000,
);

test('doctor reports missing data as no fault', async () => {
  const before = readdirSync(folder);
  const dataDir = join(folder, 'looked at');
  const { exitCode, stdout } = await run(dataDir, ['doctor']);
  expect(exitCode).toBe(0);
  expect(stdout).toContain(`ok    database      there is no data in ${dataDir} yet`);
  expect(readdirSync(folder)).toEqual(before);
});
