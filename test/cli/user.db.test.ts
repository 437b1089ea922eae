import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { runHere } from '../support/run-here.ts';
import { endEveryPostern, runPostern, type CommandEnd } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const password = 'correct horse battery';
let database: TestDatabase;
let service: TestService;

beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
});
afterAll(async () => {
  await endEveryPostern();
  await service.stop();
  await database.drop();
});

function user(words: readonly string[], stdin = ''): Promise<CommandEnd> {
  const environment = { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey };
  return runHere(['user', ...words], { environment, stdin });
}
const create = (email: string, stdin: string, ...rest: string[]) =>
  user(['create', '--email', email, '--password-stdin', ...rest], stdin);

async function login(email: string, typed: string): Promise<status> {
  return (await service.call('postern.v1.AuthService/Login', { email, password: typed })).code;
}

test('a created user can log in; one newline at the end is not part of the password', async () => {
  const { exitCode, stdout, stderr } = await create(
    'Ada@Example.com',
    `${password}\n`,
    '--role',
    'admin',
    '--role',
    'auditor',
    '--json',
  );
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ roles: ['admin', 'auditor'], disabled: false });
  expect(stdout + stderr).not.toContain(password);
  expect(await login('ada@example.com', password)).toBe(status.OK);
  expect(await login('ada@example.com', `${password}\n`)).toBe(status.UNAUTHENTICATED);
});

test('disable keeps a user from logging in, enable lets them in, list shows both', async () => {
  await create('grace@example.com', password);
  expect(await user(['disable', '--email', 'grace@example.com'])).toMatchObject({
    exitCode: 0,
    stdout: 'disabled grace@example.com\n',
  });
  expect(await login('grace@example.com', password)).toBe(status.UNAUTHENTICATED);
  const table = await user(['list']);
  expect(table.exitCode).toBe(0);
  expect(table.stdout).toMatch(/^ID +E-MAIL +ROLES +STATE +CREATED\n/);
  expect(table.stdout).toMatch(/ grace@example\.com +disabled +\d{4}-/);
  expect(await user(['enable', '--email', 'grace@example.com'])).toMatchObject({ exitCode: 0 });
  expect(await login('grace@example.com', password)).toBe(status.OK);
  const listed = JSON.parse((await user(['list', '--json'])).stdout) as object[];
  expect(listed).toContainEqual(expect.objectContaining({ email: 'grace@example.com', disabled: false }));
});

test('a refusal by a rule has exit code 5 and a reason', async () => {
  await create('taken@example.com', password);
  const refusals: [Promise<CommandEnd>, RegExp][] = [
    [create('taken@example.com', password), /e-mail address already exists/],
    [create('not an address', password), /email: /],
    [create('short@example.com', 'short'), /password: .*12/],
    [user(['disable', '--email', 'nobody@example.com']), /no such user/],
  ];
  for (const [command, expected] of refusals) {
    const { exitCode, stdout, stderr } = await command;
    expect({ exitCode, stdout }).toEqual({ exitCode: 5, stdout: '' });
    expect(stderr).toMatch(expected);
    expect(stderr).not.toMatch(/^\s+at /m);
  }
});

test('a password is not accepted as an argument', async () => {
  const end = await user(['create', '--email', 'bob@example.com', '--password', password]);
  expect(end.exitCode).toBe(2);
  expect(end.stderr).toContain('Secrets are never');
});

test('an invalid user is refused before the password is asked for', async () => {
  for (const [words, expected] of [
    [['--email', 'junk'], 'postern: email: '],
    [['--email', 'new@example.com', '--role', 'NO ROLE'], 'postern: roles[0]: '],
  ] as const) {
    const { exitCode, stdout, stderr } = await user(['create', ...words]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 5, stdout: '' });
    expect(stderr).toContain(expected);
    expect(stderr).not.toContain('terminal');
  }
});

test('invalid settings are reported together, with exit code 3', async () => {
  const environment = { DATABASE_URL: 'mysql://x', POSTERN_LOG_LEVEL: 'loud', POSTERN_DATA_DIRR: 'x' };
  const { exitCode, stderr } = await runPostern(['user', 'list'], { environment });
  expect(exitCode).toBe(3);
  for (const name of ['DATABASE_URL', 'POSTERN_LOG_LEVEL', 'POSTERN_DATA_DIRR']) {
    expect(stderr).toContain(`  - ${name} `);
  }
});

test('an unreachable database has exit code 4 within seconds', async () => {
  const startMs = Date.now();
  const environment = {
    DATABASE_URL: 'postgres://postern@127.0.0.1:1/postern',
    POSTERN_MASTER_KEY: masterKey,
  };
  const { exitCode, stderr } = await runPostern(['user', 'list'], { environment });
  expect(exitCode).toBe(4);
  expect(stderr).toMatch(/^postern: .*\(connect ECONNREFUSED 127\.0\.0\.1:1\)\n.*DATABASE_URL.*\n$/);
  expect(Date.now() - startMs).toBeLessThan(8_000);
});

test('a database that does not exist is reported as an invalid setting', async () => {
  const url = new URL(database.url);
  url.pathname = '/nowhere';
  const environment = { DATABASE_URL: url.href, POSTERN_MASTER_KEY: masterKey };
  const { exitCode, stdout, stderr } = await runPostern(['user', 'list'], { environment });
  expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' });
  expect(stderr).toContain('database "nowhere" does not exist\n');
});

test('a database server without TLS, when DATABASE_URL requires it, is reported as an invalid setting', async () => {
  // As PostgreSQL answers an SSLRequest without TLS (PostgreSQL, "Message Formats").
  const server = createServer((socket) => socket.once('data', () => socket.end('N')));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const environment = {
    DATABASE_URL: `postgres://postern@127.0.0.1:${port}/postern?sslmode=require`,
    POSTERN_MASTER_KEY: masterKey,
  };
  const { exitCode, stdout, stderr } = await runPostern(['user', 'list'], { environment });
  await once(server.close(), 'close');
  expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' });
  expect(stderr).toMatch(/^postern: DATABASE_URL .*TLS.*\n.*sslmode=disable/m);
});
