import { createPublicKey, randomBytes } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { runHere } from '../support/run-here.ts';
import { makeAssertion, makeClientKey } from '../support/client-assertion.ts';
import { endEveryPostern, runPostern, type CommandEnd } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

let database: TestDatabase;
let service: TestService;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({ POSTERN_ISSUER: 'https://postern.example' }, database);
});
afterAll(async () => {
  await endEveryPostern();
  await service.stop();
  await database.drop();
});

const environment = () => ({ DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey });
const postern = (...words: string[]): Promise<CommandEnd> => runHere(words, { environment: environment() });
async function json(...words: string[]): Promise<Record<string, string>> {
  const { exitCode, stdout, stderr } = await postern('service', ...words, '--json');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, string>;
}
const issue = async (credentials: Record<string, string>) =>
  (
    await service.call('postern.v1.AuthService/IssueServiceToken', {
      client_id: credentials['client_id'],
      client_secret: credentials['client_secret'],
    })
  ).code;

test('a created account gets tokens from a running service, through rotations, until it is deleted', async () => {
  const first = await json('create', 'billing', '--role', 'reader', '--role', 'auditor');
  expect(Object.keys(first)).toEqual(['client_id', 'client_secret']);
  expect(await issue(first)).toBe(status.OK);

  const second = await json('rotate', 'billing', '--overlap', '1h');
  expect([await issue(first), await issue(second)]).toEqual([status.OK, status.OK]);
  const [listed] = JSON.parse((await postern('service', 'list', '--json')).stdout) as object[];
  expect(listed).toMatchObject({
    client_id: first['client_id'],
    name: 'billing',
    roles: ['auditor', 'reader'],
    previous_until: second['previous_until'],
  });
  const third = await json('rotate', first['client_id'] ?? '', '--now');
  expect(third['previous_until']).toBeNull();
  expect([await issue(first), await issue(second), await issue(third)]).toEqual([
    status.UNAUTHENTICATED,
    status.UNAUTHENTICATED,
    status.OK,
  ]);
  await json('delete', 'billing');
  expect(await issue(third)).toBe(status.UNAUTHENTICATED);
});

test('without --json: the secret on standard output, the advice on standard error, a table without secrets', async () => {
  const { stdout, stderr } = await postern('service', 'create', 'tables');
  expect(stdout).toMatch(/^client_id {6}[0-9a-f-]{36}\nclient_secret {2}psk_[0-9A-Za-z]{49}\n$/);
  expect(stderr).toContain('not shown again');
  const table = (await postern('service', 'list')).stdout;
  expect(table).toMatch(/ tables /);
  expect(table).not.toContain('psk_');
  expect((await postern('service', 'rotate', 'tables')).stderr).toMatch(/until \d{4}-/);
  expect((await postern('service', 'delete', 'tables')).stdout).toMatch(/^deleted tables /);
});

test('a refusal has its exit code and a reason', async () => {
  await json('create', 'taken');
  const refusals: [number, RegExp, string[]][] = [
    [5, /another service account has this name/, ['create', 'taken']],
    [5, /name: /, ['create', 'two words']],
    [5, /name: .*UUID/, ['create', '01890000-0000-7000-8000-000000000000']],
    [5, /roles\[0\]: /, ['create', 'roles', '--role', 'Not A Role']],
    [5, /no such service account/, ['delete', 'nobody']],
    [5, /no such service account/, ['rotate', '01890000-0000-7000-8000-000000000000']],
    [2, /--overlap/, ['rotate', 'taken', '--overlap', '31d']],
    [2, /--overlap/, ['rotate', 'taken', '--overlap', 'soon']],
    [2, /--overlap/, ['rotate', 'taken', '--overlap', '1h', '--now']],
  ];
  for (const [exitCode, why, words] of refusals) {
    const end = await postern('service', ...words);
    expect({ exitCode: end.exitCode, stdout: end.stdout }).toEqual({ exitCode, stdout: '' });
    expect(end.stderr).toMatch(why);
    expect(end.stderr).not.toMatch(/^\s+at /m);
  }
});

test('K07 with another master key no secret is created', async () => {
  const other = { ...environment(), POSTERN_MASTER_KEY: randomBytes(32).toString('base64') };
  const end = await runPostern(['service', 'create', 'strange'], { environment: other });
  expect(end.exitCode).toBe(3);
  expect(end.stderr).toContain('master key');
  expect((await postern('service', 'list')).stdout).not.toContain('strange');
});

test.each([
  ['key', 'rotate'],
  ['key', 'rotate', '--now'],
  ['key', 'rewrap'],
  ['session', 'end-all', '--after-restore'],
])('K07 with another master key no signing key is created: %s %s %s', async (...words) => {
  const keys = async () => (await postern('key', 'list', '--json')).stdout;
  const before = await keys();
  const other = { ...environment(), POSTERN_MASTER_KEY: randomBytes(32).toString('base64') };
  const end = await runPostern(words, { environment: other });
  expect({ exitCode: end.exitCode, stdout: end.stdout }).toEqual({ exitCode: 3, stdout: '' });
  expect(end.stderr).toContain('master key');
  expect(await keys()).toBe(before);
});

test('L17 a reset token from the command line sets a password', async () => {
  await service.addUser('ada@example.com', 'correct horse battery');
  const { stdout, stderr, exitCode } = await postern('user', 'reset-password', '--email', 'Ada@example.com');
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/until \d{4}-/);
  const outcome = await service.call('postern.v1.AuthService/ResetPassword', {
    reset_token: stdout.trimEnd(),
    new_password: 'a staple for the horse',
  });
  expect(outcome.code).toBe(status.OK);
  await service.tokenOf('ada@example.com', 'a staple for the horse');
  const nobody = await postern('user', 'reset-password', '--email', 'nobody@example.com', '--json');
  expect(nobody).toMatchObject({ exitCode: 5, stdout: '' });
});

describe('service key', () => {
  const issueWith = async (assertion: string) =>
    (await service.call('postern.v1.AuthService/IssueServiceToken', { client_assertion: assertion })).code;

  test.each(['jwk', 'pem'])(
    'a public key in %s is added, listed and deleted while the service runs',
    async (form) => {
      const { client_id: clientId = '' } = await json('create', `keyed-${form}`);
      const key = makeClientKey();
      const pem = createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' });
      const file = join(await mkdtemp(join(tmpdir(), 'postern-')), 'key');
      await writeFile(file, form === 'pem' ? pem : key.publicJwk);
      const added = await json('key', 'add', `keyed-${form}`, file);
      expect(added).toMatchObject({
        kid: expect.stringMatching(/^[\w-]{43}$/) as unknown as string,
        algorithm: 'ES256',
      });
      expect(await json('key', 'list', clientId)).toEqual([added]);
      expect((await postern('service', 'key', 'list', clientId)).stdout).toContain(added['kid']);
      const issuer = 'https://postern.example';
      expect(await issueWith(makeAssertion(key, { clientId, issuer }))).toBe(status.OK);
      expect(await json('key', 'delete', clientId, added['kid'] ?? '')).toEqual({
        client_id: clientId,
        kid: added['kid'],
        revoked_tokens: 1,
      });
      expect(await json('key', 'list', clientId)).toEqual([]);
      expect(await issueWith(makeAssertion(key, { clientId, issuer }))).toBe(status.UNAUTHENTICATED);
    },
  );

  test('a refusal has its exit code and a reason, and a private key is not taken', async () => {
    await json('create', 'refusing');
    const folder = await mkdtemp(join(tmpdir(), 'postern-'));
    const { privateKey } = makeClientKey();
    const files: [string, RegExp][] = [
      [String(privateKey.export({ type: 'pkcs8', format: 'pem' })), /private key/],
      [JSON.stringify(privateKey.export({ format: 'jwk' })), /private key/],
      ['-----BEGIN NOTHING-----', /no public key in PEM/],
      ['{}', /public_jwk: .*alg must be/],
      ['\u0000', /public_jwk: /],
    ];
    for (const [index, [content, why]] of files.entries()) {
      const file = join(folder, `${index}`);
      await writeFile(file, content);
      const end = await postern('service', 'key', 'add', 'refusing', file);
      expect({ exitCode: end.exitCode, stdout: end.stdout }).toEqual({ exitCode: 5, stdout: '' });
      expect(end.stderr).toMatch(why);
      expect(end.stderr).not.toMatch(/^\s+at /m);
    }
    const kid = `-${'x'.repeat(42)}`;
    for (const words of [
      ['add', 'refusing', join(folder, 'absent')],
      ['list', 'nobody'],
      ['delete', 'nobody', kid],
      ['delete', 'refusing', kid],
    ])
      expect(await postern('service', 'key', ...words)).toMatchObject({ exitCode: 5, stdout: '' });
    const group = await postern('service', 'key');
    expect([group.exitCode, group.stderr + group.stdout]).toEqual([2, expect.stringContaining('add')]);
  });
});
