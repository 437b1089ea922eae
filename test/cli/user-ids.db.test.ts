import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { runHere } from '../support/run-here.ts';
import type { CommandEnd } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey } from '../support/service-environment.ts';

const password = 'correct horse battery';
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database.drop();
});

function postern(
  words: readonly string[],
  stdin = '',
  more: Record<string, string> = {},
): Promise<CommandEnd> {
  const environment = { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey, ...more };
  return runHere(words, { environment, stdin });
}
const create = (email: string, ...rest: string[]) =>
  postern(['user', 'create', '--email', email, '--password-stdin', ...rest], password);
const importText = (format: string, text: string) =>
  postern(['user', 'import', '-', '--format', format, '--json'], text);
const linesOf = ({ stdout }: CommandEnd) =>
  stdout.trim().split('\n').map((line) => JSON.parse(line) as unknown); // prettier-ignore
const listed = async (email: string) =>
  (JSON.parse((await postern(['user', 'list', '--json'])).stdout) as { email: string }[]).find(
    (user) => user.email === email,
  );

test('user create takes the ids of another program, and says which are taken', async () => {
  const id = randomUUID();
  const made = await create('ann@example.com', '--id', id, '--external-id', 'auth0|ann', '--json');
  expect(JSON.parse(made.stdout)).toMatchObject({ id, external_id: 'auth0|ann' });
  expect(await listed('ann@example.com')).toMatchObject({ id, external_id: 'auth0|ann' });
  const plain = await create('plain@example.com', '--json');
  expect(JSON.parse(plain.stdout)).toMatchObject({ external_id: null });

  for (const [rest, expected] of [
    [['--id', id], /^postern: the id belongs to another user.*\nLeave --id out/],
    [['--external-id', 'auth0|ann'], /^postern: a user with this external id already exists\n/],
    [['--id', '42'], /^postern: id: must be a UUID/],
    [['--external-id', 'ann@example.com'], /^postern: external_id: must not be an e-mail/],
    [['--external-id', ''], /^postern: external_id: must not be empty/],
  ] as const) {
    const end = await create('bob@example.com', ...rest);
    expect(end).toMatchObject({ exitCode: 5, stdout: '' });
    expect(end.stderr).toMatch(expected);
  }
});

test('user import takes the columns and members id and external_id', async () => {
  const [a, b] = [randomUUID(), randomUUID()];
  const csv = await importText(
    'csv',
    `external_id,email,id\n4711,csv@example.com,${a}\n,none@example.com,\n`,
  );
  expect(linesOf(csv)).toEqual([{ dry_run: false, created: 2, skipped: 0, refused: 0 }]);
  const rows = [
    { email: 'json@example.com', id: b, external_id: 'ü|1' },
    { email: 'null@example.com', id: null, external_id: null },
    { email: 'number@example.com', external_id: 4711 },
    { email: 'twin@example.com', id: a },
    { email: 'twin@example.com', external_id: '4711' },
    { email: 'csv@example.com', id: randomUUID() },
    { email: 'csv@example.com', id: a, external_id: '4711' },
  ];
  const json = await importText('jsonl', rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  expect(json.exitCode).toBe(5);
  expect(linesOf(json)).toEqual([
    { line: 3, refused: 'external_id: must be a string, or null; put a number in quotes' },
    { line: 4, refused: expect.stringMatching(/^id: belongs to another user/) as unknown },
    { line: 5, refused: 'external_id: belongs to another user' },
    { line: 6, refused: 'id: the user with this e-mail has another id' },
    { dry_run: false, created: 2, skipped: 1, refused: 4 },
  ]);
  expect(await listed('csv@example.com')).toMatchObject({ id: a, external_id: '4711' });
  expect(await listed('json@example.com')).toMatchObject({ id: b, external_id: 'ü|1' });
  expect(await listed('none@example.com')).toMatchObject({ external_id: null });
});

test('wherever a command takes --email it takes --external-id instead', async () => {
  await create('moved@example.com', '--external-id', 'old 42');
  const named = ['--external-id', 'old 42'];
  for (const [words, expected] of [
    [['user', 'set-role', ...named, '--role', 'reader'], /^moved@example\.com: reader\n/],
    [['user', 'disable', ...named], /^disabled moved@example\.com\n/],
    [['user', 'enable', ...named], /^enabled moved@example\.com\n/],
    [['user', 'set-email', ...named, '--to', 'new@example.com'], /e-mail address new@example\.com\n/],
    [['user', 'reset-password', ...named], /^prs_/],
    [['session', 'list', ...named], /^ID /],
    [['session', 'revoke', ...named], /^ended 0 sessions\n/],
    [['user', 'delete', ...named], /^deleted /],
  ] as const) {
    const end = await postern(words);
    expect([words, end.exitCode]).toEqual([words, 0]);
    expect(end.stdout).toMatch(expected);
  }
});

test('a command without --email and --external-id, or with both, says so and does nothing', async () => {
  for (const words of [
    ['user', 'delete'],
    ['session', 'revoke'],
  ])
    for (const named of [[], ['--email', 'a@example.com', '--external-id', 'a']])
      expect(await postern([...words, ...named])).toMatchObject({
        exitCode: 2,
        stderr: expect.stringMatching(/^postern: either .*--external-id is required/) as unknown,
      });
});

test('T26 doctor names users whose tokens have no room after a change of the settings', async () => {
  await create('wide@example.com', '--external-id', 'x'.repeat(255), '--role', 'reader', '--role', 'writer');
  const settings = {
    POSTERN_ALGORITHM: 'RS256',
    POSTERN_ISSUER: 'https://auth.example/'.padEnd(200, 'i'),
    POSTERN_INSECURE: 'on',
  };
  const fine = await postern(['doctor', '--json']);
  expect(fine.stdout).not.toContain('external id');
  const { stdout } = await postern(['doctor', '--json'], '', settings);
  expect(stdout).toMatch(/1 user has roles and an external id that do not fit into a token of 1536 bytes/);
  expect(stdout).toContain(String(((await listed('wide@example.com')) as { id: string } | undefined)?.id));
});

test('T26 doctor names users whose tokens have no room for a level', async () => {
  await create('full@example.com', '--external-id', 'x'.repeat(220), '--role', 'reader');
  const settings = {
    POSTERN_ALGORITHM: 'RS256',
    POSTERN_ISSUER: 'https://auth.example/'.padEnd(210, 'i'),
    POSTERN_INSECURE: 'on',
  };
  expect((await postern(['doctor', '--json'])).stdout).not.toContain('acr and auth_time');
  const { stdout } = await postern(['doctor', '--json'], '', settings);
  expect(stdout).toMatch(/1 user has roles and an external id beside which acr and auth_time do not fit/);
  expect(stdout).toContain(String(((await listed('full@example.com')) as { id: string } | undefined)?.id));
});

test('T26 doctor names service accounts whose name has no room in their tokens, for any audience at the moment', async () => {
  const roles = Array.from({ length: 16 }, (_, index) => String.fromCharCode(97 + index).repeat(10));
  const name = 'n'.repeat(64);
  const made = await postern([
    'service',
    'create',
    name,
    ...roles.flatMap((role) => ['--role', role]),
    '--json',
  ]);
  const { client_id } = JSON.parse(made.stdout) as { client_id: string };
  const settings = { POSTERN_ALGORITHM: 'RS256', POSTERN_ISSUER: 'https://auth.example/'.padEnd(100, 'i') };
  const doctor = async () => (await postern(['doctor', '--json'], '', settings)).stdout;
  expect(await doctor()).not.toContain('a name that does not fit');
  expect((await postern(['audience', 'add', 'a'.repeat(150)], '', settings)).exitCode).toBe(0);
  expect(await doctor()).toMatch(new RegExp(`1 service account has a name that does not fit .*${client_id}`));
});
