import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test } from '@jest/globals';
import { Client } from 'pg';

import {
  type EmbeddedPostgres,
  openEmbeddedPostgres,
} from '../../src/database/embedded/open-embedded-postgres.ts';
import { postmasterOf } from '../../src/database/embedded/process-state.ts';

const opened: EmbeddedPostgres[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const embedded of opened.splice(0).reverse()) await embedded.stop();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-takeover-'));
  folders.push(folder);
  return folder;
}

async function open(
  dataDir: string,
  ownerKind: 'service' | 'command' = 'service',
): Promise<EmbeddedPostgres> {
  const embedded = await openEmbeddedPostgres({ dataDir, ownerKind, report: () => undefined });
  opened.push(embedded);
  return embedded;
}

async function selectValue(embedded: EmbeddedPostgres, question: string): Promise<unknown> {
  const client = new Client(embedded.connection);
  await client.connect();
  try {
    return ((await client.query({ text: question, rowMode: 'array' })).rows as unknown[][])[0]?.[0];
  } finally {
    await client.end();
  }
}

test('D13 a lock file with the process id of another program does not keep the server from starting', async () => {
  const dataDir = newFolder();
  await (await open(dataDir)).stop();

  const lines = [process.ppid, join(dataDir, 'pgdata'), 1, 5432, join(dataDir, 'run'), '', '  1 1', 'ready'];
  for (const file of ['pgdata/postmaster.pid', 'run/.s.PGSQL.5432.lock']) {
    writeFileSync(join(dataDir, file), `${lines.join('\n')}\n`, { mode: 0o600 });
  }

  expect((await open(dataDir)).started).toBe(true);
});

test('D13 an unfinished cluster left by an earlier process with our id is removed', async () => {
  const dataDir = newFolder();
  mkdirSync(join(dataDir, `pgdata.new-${process.pid}`));
  expect((await open(dataDir)).started).toBe(true);
});

test('a command finds the running server through a symbolic link', async () => {
  const dataDir = newFolder();
  await open(dataDir);
  const link = join(newFolder(), 'link');
  symlinkSync(dataDir, link);
  const joined = await open(link, 'command');
  expect(joined.started).toBe(false);
  expect(await selectValue(joined, 'SELECT 1')).toBe(1);
});

test('D01 commits of the embedded server wait for the disk', async () => {
  const embedded = await open(newFolder());
  const durable = `SELECT string_agg(name || ' ' || setting, ', ' ORDER BY name) FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')`;
  expect(await selectValue(embedded, durable)).toBe('fsync on, full_page_writes on, synchronous_commit on');
});

test('the server does not inherit our environment, which holds keys and passwords', async () => {
  const dataDir = newFolder();
  await open(dataDir);
  const server = postmasterOf(join(dataDir, 'pgdata'));
  if (process.platform !== 'linux') return;
  const settings = readFileSync(`/proc/${String(server)}/environ`, 'utf8')
    .split('\0')
    .filter(Boolean);
  expect(settings.map((setting) => setting.split('=')[0]).sort()).toEqual(['LC_ALL', 'PATH']);
});

test('D21 a log that is a symbolic link is not written, and the server does not start', async () => {
  const dataDir = newFolder();
  const elsewhere = join(newFolder(), 'precious');
  writeFileSync(elsewhere, 'still here');
  symlinkSync(elsewhere, join(dataDir, 'postgres.log'));
  await expect(open(dataDir)).rejects.toThrow(/postgres\.log .*symbolic link/);
  expect(readFileSync(elsewhere, 'utf8')).toBe('still here');
});

const testAsRoot = process.getuid?.() === 0 ? test : test.skip;
testAsRoot('a socket folder created by another user in the temporary folder is refused', async () => {
  const dataDir = join(newFolder(), 'd'.repeat(100));
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  const planted = join(tmpdir(), `postern-0-${name}`);
  folders.push(planted);
  mkdirSync(planted);
  chownSync(planted, 65_534, 65_534);
  await expect(open(dataDir)).rejects.toThrow(/user/);
});
