import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { runHere } from '../support/run-here.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

const hash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';
const folder = mkdtempSync(join(tmpdir(), 'postern-import-'));
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}
const run = (words: readonly string[], stdin = '') =>
  runHere(['user', 'import', ...words], { environment: { DATABASE_URL: database.url }, stdin });
const countOf = async (domain: string) =>
  (await database.query('SELECT FROM users WHERE email LIKE $1', [`%@${domain}.example`])).length;

test('imports a file, reports refused lines with a reason, and may be run again', async () => {
  const path = file(
    'people.csv',
    `email,password_hash,roles,disabled\nann@csv.example,${hash},a;b,\nnobody,x,,\nBoss@csv.example,,admin,\n`,
  );
  const dry = await run([path, '--dry-run']);
  expect(dry).toMatchObject({ exitCode: 5, stdout: 'would create 1, skipped 0, refused 2\n' });
  expect(await countOf('csv')).toBe(0);

  const real = await run([path]);
  expect(real).toMatchObject({
    exitCode: 5,
    stdout: 'created 1, skipped 0, refused 2\n',
    stderr: dry.stderr,
  });
  const notices = real.stderr.split('\n');
  expect(notices).toHaveLength(3);
  expect(notices[0]).toMatch(/^line 3: email: .*; password_hash: /);
  expect(notices[1]).toMatch(/^line 4: roles: .*admin/);

  const allowed = await run([path, '--allow-admin', '--json']);
  expect(allowed).toMatchObject({ exitCode: 5, stderr: '' });
  expect(
    allowed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    { line: 3, refused: expect.stringMatching(/^email: /) as unknown },
    { dry_run: false, created: 1, skipped: 1, refused: 1 },
  ]);
});

test('a person who is twice in the file is named with both lines', async () => {
  const person = (name: string) => `{"email":"${name}@twice.example"}\n`;
  const crowd = Array.from({ length: 600 }, (_, index) => person(`p${index}`)).join('');
  // The last double is in another batch than the first one.
  const path = file(
    'twice.jsonl',
    `${person('Ann')}\n${person('bob')}${person('ann')}${crowd}${person('BOB')}`,
  );
  const named = [
    'line 4: skipped, its e-mail is that of line 1',
    'line 605: skipped, its e-mail is that of line 3',
  ];
  for (const words of [[path, '--dry-run'], [path]]) {
    const { exitCode, stdout, stderr } = await run(words);
    expect({ exitCode, stderr: stderr.trim().split('\n') }).toEqual({ exitCode: 0, stderr: named });
    expect(stdout).toMatch(/created? 602, skipped 2, refused 0\n$/);
  }
  const { stdout, stderr } = await run([path, '--json']);
  expect(stderr).toBe('');
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    { line: 4, duplicate_of: 1 },
    { line: 605, duplicate_of: 3 },
    { dry_run: false, created: 0, skipped: 604, refused: 0 },
  ]);
});

test('a file that Windows PowerShell wrote is imported', async () => {
  const path = join(folder, 'windows.csv');
  writeFileSync(path, Buffer.from('\ufeffemail,roles\r\nann@windows.example,a\r\n', 'utf16le'));
  expect(await run([path])).toEqual({ exitCode: 0, stdout: 'created 1, skipped 0, refused 0\n', stderr: '' });
});

test('reads standard input in the format of --format', async () => {
  const line = `{"email":"ann@pipe.example","password_hash":"${hash}"}\n`;
  expect(await run(['-', '--format', 'jsonl'], line)).toEqual({
    exitCode: 0,
    stdout: 'created 1, skipped 0, refused 0\n',
    stderr: '',
  });
  expect(await run(['-'], line)).toMatchObject({ exitCode: 2, stdout: '' });
  expect(await run([file('people.txt', line)])).toMatchObject({ exitCode: 2, stdout: '' });
  expect(await countOf('pipe')).toBe(1);
});

test('a missing file, or a folder, changes nothing', async () => {
  for (const path of [join(folder, 'absent.csv'), folder]) {
    const end = await run([path, '--format', 'csv']);
    expect(end).toMatchObject({ exitCode: 5, stdout: '' });
    expect(end.stderr).toMatch(/\((ENOENT|EISDIR)\)/);
  }
});

test('Ctrl-C leaves whole batches and reports the progress', async () => {
  const lines = Array.from({ length: 40_000 }, (_, index) => `{"email":"p${index}@stop.example"}\n`).join('');
  const running = startPostern(['user', 'import', file('many.jsonl', lines)], {
    environment: { DATABASE_URL: database.url },
  });
  while ((await countOf('stop')) === 0) await new Promise(setImmediate);
  running.kill('SIGINT');
  const { exitCode, stdout, stderr } = await running.end;
  expect({ exitCode, stdout }).toEqual({ exitCode: 130, stdout: '' });
  const [, created = ''] = /^not finished: created (\d+), skipped 0, refused 0$/m.exec(stderr) ?? [];
  expect(Number(created) % 500).toBe(0);
  expect(Number(created)).toBeLessThan(40_000);
  expect(await countOf('stop')).toBe(Number(created));
});
