import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { endEveryPostern, runPostern, startPostern } from '../support/run-postern.ts';
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
  runPostern(['user', 'import', ...words], { environment: { DATABASE_URL: database.url }, stdin });
const countOf = async (company: string) =>
  (await database.query('SELECT FROM users WHERE email LIKE $1', [`%@${company}.example`])).length;

test('imports a file, says which lines were refused and why, and may be run again', async () => {
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
  const told = real.stderr.split('\n');
  expect(told).toHaveLength(3);
  expect(told[0]).toMatch(/^line 3: email: .*; password_hash: /);
  expect(told[1]).toMatch(/^line 4: roles: .*admin/);

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

test('reads standard input, and takes the format from --format', async () => {
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

test('a file that is not there, or is none, changes nothing', async () => {
  for (const path of [join(folder, 'absent.csv'), folder]) {
    const end = await run([path, '--format', 'csv']);
    expect(end).toMatchObject({ exitCode: 5, stdout: '' });
    expect(end.stderr).toMatch(/file.*(ENOENT|EISDIR)/);
  }
});

test('Ctrl-C leaves whole batches and says how far it came', async () => {
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
