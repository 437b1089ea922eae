import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { endEveryPostern, runPostern } from '../../support/run-postern.ts';
import { callerPassword } from '../../support/callers.ts';
import { masterKey, startTestService, type TestService } from '../../support/test-service.ts';

const password = 'correct horse battery';
let service: TestService;
let authorization: string;
let count = 0;
/** Another domain in each test: as people type it, as it is kept, and with accents apart in capitals. */
let typed: string;
let kept: string;
let otherwise: string;
beforeAll(async () => {
  service = await startTestService();
  await service.addUser('admin@example.com', callerPassword, ['admin']);
  authorization = `Bearer ${await service.tokenOf('admin@example.com', callerPassword)}`;
});
afterAll(async () => {
  await endEveryPostern();
  await service.stop();
});
beforeEach(() => {
  count += 1;
  typed = `ada@b\u00fccher.t${count}.example`;
  kept = `ada@xn--bcher-kva.t${count}.example`;
  otherwise = `ADA@BU\u0308CHER.T${count}.example`;
});

const admin = (method: string, request: object) =>
  service.call(`postern.v1.AdminService/${method}`, { ...request }, { authorization });
const login = async (email: string, secret = password) =>
  (await service.call('postern.v1.AuthService/Login', { email, password: secret })).code;
const cli = (words: readonly string[], stdin = '') =>
  runPostern(words, {
    environment: { DATABASE_URL: service.database.url, POSTERN_MASTER_KEY: masterKey },
    stdin,
  });

test('L08 a domain in Unicode is one account through every method', async () => {
  const { response: user } = await admin('CreateUser', { email: typed, password });
  expect(user).toMatchObject({ email: kept });
  for (const email of [typed, kept, otherwise]) {
    expect(await login(email)).toBe(status.OK);
    expect((await admin('CreateUser', { email })).reason).toBe('EMAIL_TAKEN');
    expect((await admin('GetUser', { email })).response).toMatchObject({ id: user?.['id'], email: kept });
    expect((await admin('ListUsers', { email })).response).toMatchObject({ users: [{ id: user?.['id'] }] });
    expect((await admin('CreatePasswordReset', { email })).response).toMatchObject({ user_id: user?.['id'] });
  }
  expect((await admin('UpdateUser', { user_id: user?.['id'], email: otherwise })).response).toMatchObject({
    email: kept,
  });
});

test('L08 a user who was created with the xn-- form logs in with the domain in Unicode', async () => {
  await service.database.query(
    `INSERT INTO users (id, email, password_hash, roles) SELECT gen_random_uuid(), $1, password_hash, '{}'
     FROM users WHERE email = 'admin@example.com'`,
    [kept],
  );
  expect(await login(typed, callerPassword)).toBe(status.OK);
});

test('L08 L10 guesses with every spelling count against one account', async () => {
  await service.addUser(typed, password);
  for (const email of [typed, kept, otherwise, typed, kept]) await login(email, 'wrong');
  const { reason } = await service.call('postern.v1.AuthService/Login', { email: otherwise, password });
  expect(reason).toBe('LOGIN_RATE_LIMITED');
});

test('L07 the address is no password, however its domain is written', async () => {
  for (const secret of [typed, kept])
    expect((await admin('CreateUser', { email: kept, password: secret })).reason).toBe('PASSWORD_POLICY');
});

test('L08 invisible and fullwidth characters make no second account', async () => {
  await service.addUser(typed, password);
  for (const email of [
    typed.replace('\u00fc', '\u00fc\u00ad'),
    typed.replace('\u00fc', '\u200d\u00fc'),
    typed.replace('ada', 'a\u00adda'),
    typed.replace('c', '\uff43'),
  ]) {
    expect((await admin('CreateUser', { email })).reason).toBe('FIELD_INVALID');
    expect(await login(email)).toBe(status.INVALID_ARGUMENT);
  }
});

test('mailboxes with dots as a carrier gave them out have accounts of their own', async () => {
  const mailboxes = ['taro..x', 'taro.x', 'taro.', 'taro'].map((local) => `${local}@carrier${count}.example`);
  for (const email of mailboxes) {
    expect((await admin('CreateUser', { email, password })).response).toMatchObject({ email });
    expect(await login(email.toUpperCase())).toBe(status.OK);
  }
});

test('the command line takes and imports such addresses', async () => {
  const created = await cli(
    ['user', 'create', '--email', typed, '--password-stdin'],
    `\ufeff${password}\r\n`,
  );
  expect(created).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(kept) as unknown });
  expect(await login(kept)).toBe(status.OK);
  const file = `email\n${otherwise}\ntaro..y@carrier.example\n${typed}\n`;
  const imported = await cli(['user', 'import', '-', '--format', 'csv'], file);
  expect(imported).toEqual({
    exitCode: 0,
    stdout: 'created 1, skipped 2, refused 0\n',
    stderr: 'line 4: skipped, its e-mail is that of line 2\n',
  });
  expect(await cli(['user', 'disable', '--email', otherwise])).toMatchObject({
    stdout: `disabled ${kept}\n`,
  });
});
