import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account } from '../support/account.ts';
import { runHere } from '../support/run-here.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

let database: TestDatabase;
let service: TestService;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
  await service.addUser('ann@example.com', 'correct horse battery', ['reader']);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

const postern = (words: string[], input = '') =>
  runHere(words, {
    environment: { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey },
    stdin: input,
  });
async function json(...words: string[]): Promise<Record<string, string>> {
  const { exitCode, stdout, stderr } = await postern(['api-key', ...words, '--json']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, string>;
}
const becomes = (verdict: string, { secret = '' }: Record<string, string>) =>
  until(async () => (await account.verdict(service, secret)) === verdict, `the key is ${verdict}`);

test('a key is created, listed, rotated and revoked, and a running service follows', async () => {
  const ann = ['--email', 'ann@example.com'];
  const key = await json('create', 'nightly', ...ann, '--role', 'reader', '--expires', '30d');
  await becomes('OK', key);
  const listed = (await json('list', ...ann)) as unknown as Record<string, unknown>[];
  expect(listed).toMatchObject([{ id: key['id'], name: 'nightly', roles: ['reader'], owner_type: 'user' }]);
  expect(JSON.stringify(listed)).not.toContain('pak_');
  const next = await json('rotate', key['id'] ?? '', '--overlap', '1h');
  for (const each of [key, next]) await becomes('OK', each);
  const { stdout } = await postern(['api-key', 'revoke', next['id'] ?? '']);
  expect(stdout).toBe(`revoked ${next['id']} and every token that it was exchanged for\n`);
  await becomes('API_KEY_INVALID', next);
  await becomes('OK', key);
  const table = await postern(['api-key', 'list']);
  expect(table.stdout).toContain(key['id']);
  expect(table.stdout).not.toContain(String(next['id']));
});

test('a key can be for an audience that was added at run time', async () => {
  expect((await postern(['audience', 'add', 'added'])).exitCode).toBe(0);
  const ann = ['--email', 'ann@example.com', '--audience', 'added'];
  const key = await json('create', 'of the added one', ...ann);
  expect(key['audience']).toBe('added');
  await becomes('OK', key);
});

test('the keys in a report of a scanner are revoked, and nothing else', async () => {
  const ann = ['--email', 'ann@example.com'];
  const [found, other] = [await json('create', 'a', ...ann), await json('create', 'b', ...ann, '--never')];
  // In JSON a line break is \\n, and in a URL a space is %20: both end in a letter or a digit before the key.
  const escaped = [await json('create', 'c', ...ann), await json('create', 'd', ...ann)];
  const [inJson, inUrl] = escaped.map(({ secret }) => secret);
  const match = `{"match":"KEY:\\n${inJson}_","url":"q=a%20${inUrl}"}`;
  const report = `{"secret":"${found['secret']}","line":3}\npak_${'x'.repeat(49)} pak_short ${match}`;
  const { stdout } = await postern(['api-key', 'revoke', '--stdin', '--json'], report);
  expect(JSON.parse(stdout)).toEqual({ revoked: [found, ...escaped].map(({ id }) => id) });
  await becomes('API_KEY_INVALID', found);
  await becomes('OK', other);
  expect((await postern(['api-key', 'revoke', '--stdin'], report)).stdout).toContain(
    'no valid key was found',
  );
});

test('what cannot be done is said in one line', async () => {
  await json('create', 'backup', '--email', 'ann@example.com');
  const refusals = [
    ['create', 'x'],
    ['create', 'x', '--service', 'nobody'],
    ['create', 'x', '--email', 'ann@example.com', '--service', 'nobody'],
    ['create', 'x', '--email', 'ann@example.com', '--role', 'admin'],
    ['create', 'x', '--email', 'ann@example.com', '--network', '10.0.0.0/40'],
    ['create', 'x', '--email', 'ann@example.com', '--expires', '400d'],
    ['create', 'x', '--email', 'ann@example.com', '--audience', 'other'],
    ['create', 'backup', '--email', 'ann@example.com'],
    ['revoke'],
    ['revoke', 'not-an-id'],
    ['rotate', '01890000-0000-7000-8000-000000000000'],
  ];
  const ends = [];
  for (const words of refusals) {
    const { exitCode, stdout, stderr } = await postern(['api-key', ...words]);
    expect(stdout).toBe('');
    expect(exitCode).not.toBe(0);
    ends.push(stderr.split('\n')[0]);
  }
  expect(ends).toEqual([
    'postern: the owner is missing',
    'postern: there is no such service account',
    'postern: several owners are named',
    'postern: roles: must be roles that the owner has',
    expect.stringContaining('postern: allowed_networks[0]: must be a network'),
    expect.stringContaining('postern: lifetime: must be from 1 second to 366 days'),
    'postern: audience: must be an audience that `postern audience list` shows',
    'postern: another API key of the owner has this name',
    'postern: either an id or --stdin is required',
    expect.stringContaining('postern: id: must be a UUID'),
    'postern: there is no such API key',
  ]);
});
