import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account, verdictOf } from '../support/account.ts';
import { totpOf, wrongTotpOf } from '../support/second-factors.ts';
import { runHere } from '../support/run-here.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, type Message, startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const password = 'correct horse battery';
const AUTH = 'postern.v1.AuthService';
const ADMIN = 'postern.v1.AdminService';

let database: TestDatabase;
let service: TestService;
let adminToken: string;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
  await service.addUser('root@example.com', password, ['admin']);
  adminToken = await service.tokenOf('root@example.com', password);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

const postern = (words: string[], stdin = '') =>
  runHere(words, { environment: { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey }, stdin });
async function json<T>(words: string[], stdin = ''): Promise<T> {
  const { exitCode, stdout, stderr } = await postern([...words, '--json'], stdin);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}
const login = (email: string, code = '') => service.call(`${AUTH}/Login`, { email, password, code });
const admin = (method: string, request: Message) =>
  service.call(`${ADMIN}/${method}`, request, { authorization: `Bearer ${adminToken}` });

interface Enrolment {
  readonly factor_id: string;
  readonly secret: string;
  readonly otpauth_uri: string;
  readonly expires_at: string;
}
interface Confirmation {
  readonly recovery_codes: string[];
  readonly ended_sessions: number;
}
const named = (email: string) => ['--email', email];

/** A user with a confirmed factor, whose present code is used up by the confirmation. */
async function enrolled(email: string) {
  const id = await service.addUser(email, password, ['reader']);
  const enrolment = await json<Enrolment>(['user', 'enrol-totp', ...named(email), '--name', 'phone']);
  const { secret } = enrolment;
  const confirmed = await json<Confirmation>(
    ['user', 'enrol-totp', ...named(email), '--confirm', enrolment.factor_id],
    `${totpOf(secret)}\n`,
  );
  return { id, secret, enrolment, ...confirmed };
}

test('M56 an operator enrols a user, whose sessions end, and the user logs in with codes of the app', async () => {
  await service.addUser('ann@example.com', password, ['reader']);
  const before = await account.login(service, 'ann@example.com', password);
  const enrolment = await json<Enrolment>(['user', 'enrol-totp', ...named('ann@example.com')]);
  expect(enrolment.otpauth_uri).toContain(`secret=${enrolment.secret}&`);
  expect(enrolment.otpauth_uri).toMatch(/^otpauth:\/\/totp\/.*:ann%40example\.com\?/);
  // A pending factor is none.
  expect(verdictOf(await login('ann@example.com'))).toBe('OK');

  const { secret } = enrolment;
  const confirm = ['user', 'enrol-totp', ...named('ann@example.com'), '--confirm', enrolment.factor_id];
  const wrong = await postern(confirm, wrongTotpOf(secret));
  expect(wrong).toMatchObject({ exitCode: 5, stdout: '' });
  expect(wrong.stderr).toMatch(/^postern: the code is wrong or too old; the factor is not confirmed\n/);
  const { recovery_codes, ended_sessions } = await json<Confirmation>(confirm, totpOf(secret));
  expect(recovery_codes).toHaveLength(10);
  expect(new Set(recovery_codes).size).toBe(10);
  expect(ended_sessions).toBe(2);
  await until(
    async () => (await account.verdict(service, before.access_token)) === 'TOKEN_REVOKED',
    'the session has ended',
  );

  expect(verdictOf(await login('ann@example.com'))).toBe('SECOND_FACTOR_REQUIRED');
  const next = totpOf(secret, 1);
  expect(verdictOf(await login('ann@example.com', next))).toBe('OK');
  expect(verdictOf(await login('ann@example.com', next))).toBe('SECOND_FACTOR_INVALID');
  expect(verdictOf(await login('ann@example.com', recovery_codes[0]))).toBe('OK');
  expect((await postern(confirm, next)).stderr).toMatch(
    /no such factor that waits for a code\nIt is confirmed already/,
  );

  // A second one brings no recovery codes: the first ten stay.
  const other = await json<Enrolment>([
    'user',
    'enrol-totp',
    ...named('ann@example.com'),
    '--name',
    'tablet',
  ]);
  const again = await json<Confirmation>(
    ['user', 'enrol-totp', ...named('ann@example.com'), '--confirm', other.factor_id],
    totpOf(other.secret),
  );
  expect(again.recovery_codes).toEqual([]);
  expect(await json(['user', 'factors', ...named('ann@example.com')])).toMatchObject({
    factors: [{ name: 'authenticator app' }, { name: 'tablet', last_used_at: null }],
    recovery_codes_left: 9,
  });
  const events = await json<Record<string, unknown>[]>(['audit', 'list', '--action', 'factor.add']);
  expect(events.map(({ actor_type, target_type }) => [actor_type, target_type])).toEqual([
    ['operator', 'factor'],
    ['operator', 'factor'],
  ]);
});

test('M55 factors are listed with their last use, and reset with codes and sessions, by RPC', async () => {
  const { id, secret, recovery_codes } = await enrolled('bob@example.com');
  const unused = await admin('ListFactors', { user_id: id });
  expect(unused.response).toMatchObject({
    factors: [{ kind: 'TOTP', name: 'phone', last_used_at: null, synced: false }],
    recovery_codes_left: 10,
  });
  expect(JSON.stringify(unused.response)).not.toMatch(/secret/);
  const { response: tokens } = await login('bob@example.com', totpOf(secret, 1));
  const used = await admin('ListFactors', { user_id: id });
  expect(used.response).toMatchObject({
    factors: [{ last_used_at: { seconds: expect.any(String) as unknown } }],
  });
  await login('bob@example.com', '000000');

  expect((await admin('DeleteFactors', { user_id: id })).response).toEqual({
    factors: 1,
    recovery_codes: 10,
    ended_sessions: 1,
  });
  expect(await account.verdict(service, String(tokens?.['access_token']))).toBe('TOKEN_REVOKED');
  expect(await account.refreshVerdict(service, String(tokens?.['refresh_token']))).toBe(
    'REFRESH_TOKEN_REVOKED',
  );
  for (const table of ['factors', 'recovery_codes', 'code_failures'])
    expect(await database.query(`SELECT 1 FROM ${table} WHERE user_id = $1`, [id])).toEqual([]);
  // The password alone is enough again, and an old recovery code is nothing.
  expect(verdictOf(await login('bob@example.com', recovery_codes[0]))).toBe('OK');
  const { response } = await admin('ListAuditEvents', { action: 'factor.reset', target_id: id });
  expect(response).toMatchObject({
    events: [{ outcome: 'ok', actor_type: 'user', target_type: 'user', target_id: id }],
  });

  // Nothing is left to delete; that is no error, so that a script may run twice.
  expect((await admin('DeleteFactors', { user_id: id })).response).toMatchObject({
    factors: 0,
    recovery_codes: 0,
  });
});

test('an unknown user and an id that is none are refused by both', async () => {
  for (const method of ['ListFactors', 'DeleteFactors']) {
    const unknown = { user_id: '01890000-0000-7000-8000-000000000000' };
    expect(verdictOf(await admin(method, unknown))).toBe('RESOURCE_NOT_FOUND');
    for (const user_id of ['', 'ann@example.com'])
      expect(verdictOf(await admin(method, { user_id }))).toBe('FIELD_INVALID');
    const anonymous = await service.call(`${ADMIN}/${method}`, unknown);
    expect(verdictOf(anonymous)).toBe('CREDENTIALS_MISSING');
  }
});

test('M57 a reset by command ends the sessions at a running service', async () => {
  const { secret } = await enrolled('eve@example.com');
  const { response: tokens } = await login('eve@example.com', totpOf(secret, 1));
  const { stdout, exitCode } = await postern(['user', 'reset-factors', ...named('eve@example.com')]);
  expect({ stdout, exitCode }).toEqual({
    stdout: 'deleted 1 second factor and 10 recovery codes, ended 1 session\n',
    exitCode: 0,
  });
  await until(
    async () => (await account.verdict(service, String(tokens?.['access_token']))) === 'TOKEN_REVOKED',
    'the session has ended',
  );
  expect(verdictOf(await login('eve@example.com'))).toBe('OK');
  expect(await json(['user', 'factors', ...named('eve@example.com')])).toEqual({
    factors: [],
    recovery_codes_left: 0,
  });
});

test('M63 a deleted user leaves no factor, code or count', async () => {
  const { id } = await enrolled('gone@example.com');
  await login('gone@example.com', '000000');
  expect((await postern(['user', 'delete', ...named('gone@example.com')])).exitCode).toBe(0);
  for (const table of ['factors', 'recovery_codes', 'code_failures'])
    expect(await database.query(`SELECT 1 FROM ${table} WHERE user_id = $1`, [id])).toEqual([]);
});

test('M64 what cannot be done is said in one line', async () => {
  await service.addUser('dan@example.com', password);
  const dan = named('dan@example.com');
  const unknown = '01890000-0000-7000-8000-000000000000';
  const refusals: [string[], string, RegExp][] = [
    [['user', 'factors'], '', /either --email or --external-id is required/],
    [['user', 'factors', ...named('nobody@example.com')], '', /there is no such user/],
    [['user', 'reset-factors', ...named('nobody@example.com')], '', /there is no such user/],
    [['user', 'enrol-totp', ...named('nobody@example.com')], '', /there is no such user/],
    [['user', 'enrol-totp', ...dan, '--name', ''], '', /name: /],
    [['user', 'enrol-totp', ...dan, '--name', 'a\nb'], '', /name: /],
    [['user', 'enrol-totp', ...dan, '--confirm', 'x'], '123456', /--confirm is not the id of a factor/],
    [['user', 'enrol-totp', ...dan, '--confirm', unknown], '123456', /no such factor that waits for a code/],
    [['user', 'enrol-totp', ...dan, '--confirm', unknown], '', /code: /],
  ];
  for (const [words, stdin, message] of refusals) {
    const { exitCode, stdout, stderr } = await postern(words, stdin);
    expect({ words, stdout }).toEqual({ words, stdout: '' });
    expect([2, 5]).toContain(exitCode);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/unexpected|at file:/);
  }
});

test('M64 without a database each command says so and creates nothing', async () => {
  for (const words of [['factors'], ['reset-factors'], ['enrol-totp']]) {
    const environment = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', POSTERN_MASTER_KEY: masterKey };
    const { exitCode, stdout, stderr } = await runHere(['user', ...words, ...named('ann@example.com')], {
      environment,
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: '' });
    expect(stderr).toMatch(/^postern: the database does not respond/);
  }
});

test('M63 a restored backup has no recovery codes', async () => {
  const { id } = await enrolled('restored@example.com');
  const { users_without_recovery_codes } = await json<Record<string, number>>([
    'session',
    'end-all',
    '--after-restore',
  ]);
  expect(users_without_recovery_codes).toBeGreaterThanOrEqual(1);
  expect(await database.query('SELECT 1 FROM recovery_codes')).toEqual([]);
  expect(await database.query('SELECT 1 FROM factors WHERE user_id = $1', [id])).toHaveLength(1);
});

test('M63 nor one of a service that signs with a shared secret', async () => {
  await enrolled('shared@example.com');
  const environment = {
    DATABASE_URL: database.url,
    POSTERN_MASTER_KEY: masterKey,
    POSTERN_ALGORITHM: 'HS256',
    POSTERN_SECRET: randomBytes(32).toString('hex'),
  };
  const { exitCode, stdout } = await runHere(['session', 'end-all', '--after-restore'], { environment });
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/change POSTERN_SECRET as well\n[^]*deleted the recovery codes of [1-9]/);
  expect(await database.query('SELECT 1 FROM recovery_codes')).toEqual([]);
});
