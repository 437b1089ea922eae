import { createHash, randomBytes } from 'node:crypto';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { callAny, sendStream } from '../support/any-call.ts';
import { bearing } from '../support/callers.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { Collector } from '../support/collector.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import {
  masterKey,
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../support/test-service.ts';

const canary = (what: string) => `canary-${what}-${randomBytes(9).toString('hex')}`;
/** The planted canaries by name; tokens and generated secrets are added when they are made. */
const planted: Record<string, string> = {
  password: canary('password'),
  changedPassword: canary('changed'),
  resetPassword: canary('reset'),
  wrongPassword: canary('wrong'),
  email: `${canary('mail')}@example.com`,
  passwordTypedAsEmail: `${canary('typed')}@example.com`,
  header: canary('header'),
  databasePassword: canary('dsn'),
  legacySecret: canary('legacy-secret-of-the-tutorial'),
  collectorKey: canary('collector'),
  importedHash: `$2b$04$${randomBytes(27).toString('hex').slice(0, 53)}`,
  masterKey,
};
const plantedText = (name: string) => planted[name] ?? '';

const collector = new Collector();
let database: TestDatabase;
let service: TestService;
let client: grpc.Client;
const answers: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const url = new URL(database.url);
  url.password = plantedText('databasePassword');
  const environment = {
    DATABASE_URL: url.href,
    POSTERN_LEGACY_HS256_SECRET: plantedText('legacySecret'),
    POSTERN_LEGACY_HS256_UNTIL: '2099-01-01',
    POSTERN_REFRESH_GRACE: '0s',
    OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: `api-key=${plantedText('collectorKey')}`,
    OTEL_METRICS_EXPORTER: 'otlp',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  };
  service = await startTestService(environment, database);
  client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  await service.addUser(plantedText('email'), plantedText('password'), ['admin']);
});
afterAll(async () => {
  client.close();
  await service.stop();
  collector.stop();
  await database.drop();
});

/** Makes a call and records what the caller sees of a refusal; answers that hold a secret by design are not. */
async function call(method: string, request: Message, token?: string): Promise<Message> {
  const metadata = token === undefined ? new grpc.Metadata() : bearing(token);
  metadata.set('x-canary', plantedText('header'));
  metadata.set('cookie', `session=${plantedText('header')}`);
  const outcome = await callAny(client, `postern.v1.${method}`, [request], metadata);
  keep(outcome);
  return outcome.response ?? {};
}

function keep({ message, trailers }: Outcome): void {
  const values = Object.values(trailers.getMap()).map((value) => value.toString('latin1'));
  answers.push(message, ...values);
}

async function driveLogins(): Promise<void> {
  const [email, password] = [plantedText('email'), plantedText('password')];
  const tokens = await call('AuthService/Login', { email, password });
  const [access, refresh] = [String(tokens['access_token']), String(tokens['refresh_token'])];
  Object.assign(planted, { access, refresh });
  await call('AuthService/VerifyToken', {}, access);
  await call('AuthService/VerifyToken', { access_token: `${access}x` });
  await call('AuthService/VerifyToken', { access_token: `${access}${access}` });
  await call('AuthService/VerifyToken', { access_token: password });
  await call('AuthService/Login', { email: plantedText('passwordTypedAsEmail'), password });
  await call('AuthService/Login', { email: plantedText('wrongPassword'), password: '' });
  for (let n = 0; n < 7; n += 1)
    await call('AuthService/Login', { email: `x${email}`, password: plantedText('wrongPassword') });
  const next = await call('AuthService/RefreshToken', { refresh_token: refresh });
  planted['nextRefresh'] = String(next['refresh_token']);
  planted['nextAccess'] = String(next['access_token']);
  await call('AuthService/RefreshToken', { refresh_token: `${refresh.slice(0, -4)}AAAA` });
  await call('AuthService/RefreshToken', { refresh_token: password });
  await call('AuthService/RefreshToken', { refresh_token: access });
  await call('AuthService/RefreshToken', { refresh_token: refresh });
  await call('AuthService/RevokeToken', { token: password });
  await call('AuthService/RevokeToken', { token: access, all_sessions: true });
  await call('AuthService/RefreshToken', { refresh_token: refresh });
}

async function driveAdministration(): Promise<void> {
  const [email, password] = [plantedText('email'), plantedText('password')];
  const admin = await service.tokenOf(email, password);
  planted['adminAccess'] = admin;
  const act = (method: string, request: Message, token = admin) =>
    call(`AdminService/${method}`, request, token);
  const user = { email: `second-${email}`, password: plantedText('changedPassword'), roles: ['reader'] };
  planted['secondEmail'] = user.email;
  await act('CreateUser', user);
  await act('CreateUser', user);
  await act('CreateUser', { ...user, email: plantedText('wrongPassword') });
  await act('CreateUser', { ...user, email: `third-${email}`, password: `third-${email}` });
  await act('GetUser', { email: plantedText('passwordTypedAsEmail') });
  await act('ListUsers', { page_token: admin });
  await act('UpdateUser', { user_id: password, email });
  await act('ListUsers', {}, `${admin}x`);
  await act('ListAuditEvents', { actor: admin.slice(0, 200), action: plantedText('header') });
  const account = await act('CreateServiceAccount', { name: 'canary', roles: [] });
  const client_id = account['client_id'];
  planted['serviceSecret'] = String(account['client_secret']);
  planted['nextServiceSecret'] = String((await act('RotateServiceSecret', { client_id }))['client_secret']);
  for (const client_secret of [plantedText('serviceSecret'), `${plantedText('serviceSecret')}x`, password])
    planted['serviceAccess'] ??= String(
      (await call('AuthService/IssueServiceToken', { client_id, client_secret }))['access_token'],
    );
  await driveApiKeys(admin, String(client_id));
  planted['resetToken'] = String((await act('CreatePasswordReset', { email: user.email }))['reset_token']);
  const rows = ['ok', 'bad'].map((name) => ({
    email: name === 'ok' ? `imported-${email}` : plantedText('wrongPassword'),
    password_hash: plantedText('importedHash'),
  }));
  planted['importedEmail'] = `imported-${email}`;
  keep(await sendStream(client, 'postern.v1.AdminService/ImportUsers', [{ users: rows }], bearing(admin)));
  await call('AuthService/ResetPassword', { reset_token: plantedText('resetToken'), new_password: 'short' });
  await call('AuthService/ResetPassword', {
    reset_token: plantedText('resetToken'),
    new_password: plantedText('resetPassword'),
  });
  await call('AuthService/ResetPassword', {
    reset_token: plantedText('resetToken'),
    new_password: plantedText('resetPassword'),
  });
  const change = {
    current_password: plantedText('wrongPassword'),
    new_password: plantedText('changedPassword'),
  };
  await call('AuthService/ChangePassword', change, admin);
  await call('AuthService/ChangePassword', { ...change, current_password: password }, admin);
}

async function driveApiKeys(admin: string, client_id: string): Promise<void> {
  const act = (method: string, request: Message) => call(`AdminService/${method}`, request, admin);
  const api_key = { name: 'canary', allowed_networks: ['192.0.2.0/24'] };
  const created = await act('CreateApiKey', { client_id, api_key });
  const { id } = created['api_key'] as Message;
  const rotated = await act('RotateApiKey', { id });
  const open = await act('CreateApiKey', { client_id, api_key: { name: 'open' } });
  Object.assign(planted, {
    apiKey: String(created['secret']),
    nextApiKey: String(rotated['secret']),
    openApiKey: String(open['secret']),
  });
  for (const key of [plantedText('apiKey'), plantedText('nextApiKey'), `${plantedText('apiKey')}x`]) {
    await call('AuthService/VerifyToken', { access_token: key });
    await call('AuthService/VerifyToken', {}, key);
    await call('AuthService/ExchangeToken', { subject_token: key });
    await call('AuthService/ExchangeToken', { subject_token: key, actor_token: key });
    await call('AuthService/CreateApiKey', { name: key }, key);
    await call('AdminService/ListApiKeys', { page_token: key }, key);
    await call('AuthService/RevokeToken', { token: key, all_sessions: true });
  }
  planted['exchanged'] = String(
    (await call('AuthService/ExchangeToken', { subject_token: plantedText('openApiKey') }))['access_token'],
  );
  await call('AuthService/RevokeToken', { token: plantedText('openApiKey') });
  await call('AuthService/VerifyToken', { access_token: plantedText('openApiKey') });
}

/** Internal faults: the error of a violated constraint contains the failing row with its values. */
async function driveFaults(): Promise<void> {
  planted['lastAccess'] = await service.tokenOf(plantedText('email'), plantedText('changedPassword'));
  for (const table of ['users', 'sessions', 'login_throttle', 'service_accounts', 'api_keys', 'audit_events'])
    await database.query(`ALTER TABLE ${table} ADD CONSTRAINT broken_on_purpose CHECK (false) NOT VALID`);
  const fixture = await openAdminFixture(database);
  await expect(fixture.createService('faulty')).rejects.toThrow();
  await call('AuthService/Login', { email: plantedText('email'), password: plantedText('changedPassword') });
  await call('AuthService/Login', {
    email: plantedText('passwordTypedAsEmail'),
    password: plantedText('wrongPassword'),
  });
  await call(
    'AdminService/CreateUser',
    { email: `fault-${plantedText('email')}`, password: plantedText('password') },
    plantedText('lastAccess'),
  );
  await database.query('ALTER TABLE login_throttle DROP CONSTRAINT broken_on_purpose');
  await call('AuthService/Login', { email: plantedText('email'), password: plantedText('changedPassword') });
  expect(service.logLines.join('\n')).toContain('broken_on_purpose');
}

async function everyAnswerOverHttp(): Promise<string> {
  const paths = [
    '/livez',
    '/readyz',
    '/metrics',
    '/.well-known/jwks.json',
    '/.well-known/openid-configuration',
  ];
  const asked = [...paths, `/${plantedText('header')}?password=${plantedText('password')}`];
  const bodies = asked.map(async (path) => {
    const response = await fetch(service.httpUrl + path, {
      headers: { authorization: `Bearer ${plantedText('access')}`, 'x-canary': plantedText('header') },
    });
    return `${JSON.stringify([...response.headers])} ${await response.text()}`;
  });
  return (await Promise.all(bodies)).join('\n');
}

/** Every row of every table with all its columns, bytes in hex. Columns for an e-mail or a hash are left out. */
async function everyRow(): Promise<string> {
  const tables = await database.query(
    `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
  );
  expect(tables.length).toBeGreaterThan(8);
  const rows = await Promise.all(
    tables.map(({ relname }) => {
      const kept = relname === 'users' ? "to_jsonb(t) - 'email' - 'password_hash'" : 'to_jsonb(t)';
      return database.query(`SELECT (${kept})::text AS line FROM ${String(relname)} t`);
    }),
  );
  return rows
    .flat()
    .map(({ line }) => String(line))
    .join('\n');
}

function spellingsOf(secret: string): string[] {
  const parts =
    secret.includes('.') && secret.length > 200 ? [secret, secret.split('.')[2] ?? secret] : [secret];
  return parts.flatMap((text) => [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    Buffer.from(text).toString('hex'),
    Buffer.from(text).toString('base64').replace(/=+$/, ''),
    Buffer.from(text).toString('base64url'),
    createHash('sha256').update(text).digest('hex'),
    createHash('sha256').update(text).digest('base64').replace(/=+$/, ''),
  ]);
}

function leaksIn(text: string): string[] {
  const low = text.toLowerCase();
  return Object.entries(planted)
    .filter(([, secret]) => spellingsOf(secret).some((spelling) => low.includes(spelling.toLowerCase())))
    .map(([name]) => name);
}

test('O01 O02 O05 no canary is in a log line, an answer, a page over HTTP, a row of the database or a trace', async () => {
  await driveLogins();
  await driveAdministration();
  await driveFaults();
  expect(Object.values(planted).filter((secret) => secret === '' || secret === 'undefined')).toEqual([]);
  const [rows, pages] = [await everyRow(), await everyAnswerOverHttp()];
  const log = service.logLines.join('\n');
  expect({
    log: leaksIn(log),
    answers: leaksIn(answers.join('\n')),
    rows: leaksIn(rows),
    pages: leaksIn(pages),
    telemetry: leaksIn(collector.bodies.join('\n')),
  }).toEqual({ log: [], answers: [], rows: [], pages: [], telemetry: [] });
  expect(collector.spans.length).toBeGreaterThan(10);

  for (const line of service.logLines) {
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(JSON.parse(line)).toMatchObject({ time: expect.anything(), event: expect.any(String) });
  }
  for (const proof of [
    'INVALID_CREDENTIALS',
    'LOGIN_RATE_LIMITED',
    'REFRESH_TOKEN_REUSED',
    'INTERNAL',
    'PASSWORD_POLICY',
  ])
    expect([proof, log.includes(proof)]).toEqual([proof, true]);

  // Control: the search finds each of them where it is present.
  const jwt = plantedText('access');
  for (const leak of [
    plantedText('password').toUpperCase(),
    `k=${Buffer.from(jwt).toString('hex')}`,
    encodeURIComponent(plantedText('email')),
  ])
    expect(leaksIn(`{"event":"call","x":"${leak}"}`)).toHaveLength(1);
});
