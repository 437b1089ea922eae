import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { connectClient } from '../../src/database/connection/connect-client.ts';
import { serversOf } from '../../src/database/connection/database-address.ts';
import { Database } from '../../src/database/database.ts';
import { budgetOf } from '../../src/domain/operation-call.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { createServiceRole } from '../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService } from '../support/test-service.ts';

/** What operators set for a database, and what the code must find all the same. */
const SET_OTHERWISE: readonly [name: string, theirs: string, ours: string][] = [
  ['datestyle', 'SQL, DMY', 'ISO, MDY'],
  ['datestyle', 'German', 'ISO, MDY'],
  ['intervalstyle', 'iso_8601', 'postgres'],
  ['timezone', 'Asia/Kathmandu', 'UTC'],
  ['bytea_output', 'escape', 'hex'],
  ['extra_float_digits', '-15', '1'],
  ['standard_conforming_strings', 'off', 'on'],
  ['array_nulls', 'off', 'on'],
  ['transform_null_equals', 'on', 'off'],
  ['default_transaction_isolation', 'serializable', 'read committed'],
  ['default_transaction_deferrable', 'on', 'off'],
  ['exit_on_error', 'on', 'off'],
  ['idle_session_timeout', '1s', '0'],
  ['transaction_timeout', '1s', '0'],
  ['synchronous_commit', 'off', 'on'],
  ['synchronous_commit', 'remote_apply', 'remote_apply'],
  ['statement_timeout', '3min', '2s'],
  ['lock_timeout', '3min', '250ms'],
  ['client_encoding', 'LATIN1', 'UTF8'],
];
const session = { statement_timeout: '2000', lock_timeout: '250' };
let store: TestDatabase;

beforeAll(async () => {
  store = await createTestDatabase();
});
afterAll(async () => {
  await endEveryPostern();
  await store.drop();
});

const nameOf = ({ url }: TestDatabase) => new URL(url).pathname.slice(1);

async function found(url: string, name: string): Promise<unknown> {
  const client = await connectClient(serversOf({ url })[0], { limitMs: 5_000, session });
  try {
    const { rows } = await client.query<Record<string, unknown>>('SELECT current_setting($1) AS value', [
      name,
    ]);
    return rows[0]?.['value'];
  } finally {
    await client.end();
  }
}

describe('D22 a session is as the code needs it', () => {
  test.each(SET_OTHERWISE)('where the database has %s = %s', async (name, theirs, ours) => {
    await store.query(`ALTER DATABASE ${nameOf(store)} SET ${name} = ${quoted(name, theirs)}`);
    expect(await found(store.url, name)).toBe(ours);
    await store.query(`ALTER DATABASE ${nameOf(store)} RESET ${name}`);
  });

  test('where the role has it', async () => {
    const role = await createServiceRole(store);
    await store.query(`ALTER ROLE ${role.name} SET datestyle = 'SQL, DMY'`);
    expect(await found(role.url, 'datestyle')).toBe('ISO, MDY');
    expect(await found(`${role.url}&options=-c%20datestyle%3DGerman`, 'datestyle')).toBe('ISO, MDY');
  });

  test('the schema is still the operator’s to choose', async () => {
    await store.query(`ALTER DATABASE ${nameOf(store)} SET search_path = theirs, public`);
    expect(await found(store.url, 'search_path')).toBe('theirs, public');
    await store.query(`ALTER DATABASE ${nameOf(store)} RESET search_path`);
  });
});

/** A list is given without quotes, or it would be one name. */
function quoted(name: string, text: string): string {
  return name === 'datestyle' ? text : `'${text}'`;
}

test('a service starts, logs in, refreshes and lists in a database where everything is set otherwise', async () => {
  const strange = await createTestDatabase();
  const theirs = new Map(SET_OTHERWISE.map(([name, text]) => [name, text]));
  for (const [name, text] of theirs)
    await strange.query(`ALTER DATABASE ${nameOf(strange)} SET ${name} = ${quoted(name, text)}`);
  const service = await startTestService({}, strange);
  const userId = await service.addUser('ann@example.com', 'correct horse battery', ['admin']);
  const login = await service.call('postern.v1.AuthService/Login', {
    email: 'ann@example.com',
    password: 'correct horse battery',
  });
  expect(login.code).toBe(status.OK);
  const refreshed = await service.call('postern.v1.AuthService/RefreshToken', {
    refresh_token: login.response?.['refresh_token'],
  });
  expect(refreshed.code).toBe(status.OK);
  const bearer = { authorization: `Bearer ${String(refreshed.response?.['access_token'])}` };
  const twice = { email: 'ann@example.com', password: 'another horse battery' };
  const refused = await service.call('postern.v1.AdminService/CreateUser', twice, bearer);
  expect(refused.reason).toBe('EMAIL_TAKEN');
  const events = await service.call('postern.v1.AdminService/ListAuditEvents', {}, bearer);
  expect(events.code).toBe(status.OK);
  const user = await service.call('postern.v1.AdminService/GetUser', { user_id: userId }, bearer);
  expect(JSON.stringify(user.response)).toContain('ann@example.com');
  await service.stop();
  await strange.drop();
});

describe('one sentence says that a database is not set up for the role', () => {
  const environmentOf = (url: string) => ({
    DATABASE_URL: url,
    POSTERN_MASTER_KEY: masterKey,
    POSTERN_GRPC_LISTEN: '127.0.0.1:0',
    POSTERN_HTTP_LISTEN: '127.0.0.1:0',
  });

  test('a search path that names no schema', async () => {
    const empty = await createTestDatabase({ empty: true });
    await empty.query(`ALTER DATABASE ${nameOf(empty)} SET search_path = nowhere`);
    const { exitCode, stderr } = await runPostern(['serve'], { environment: environmentOf(empty.url) });
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(
      /database is not set up for this role: no schema has been selected.*\n.*search_path/,
    );
    await empty.drop();
  });

  test('options that the server does not know', async () => {
    const url = `${store.url}&options=-c%20serch_path%3Da`;
    const { exitCode, stderr } = await runPostern(['serve'], { environment: environmentOf(url) });
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/the database refuses the connection: .*\n.*DATABASE_URL/);
  });

  test('a privilege that was revoked under a running service', async () => {
    const own = await createTestDatabase();
    const role = await createServiceRole(own);
    const service = await startTestService({ DATABASE_URL: role.url, POSTERN_MIGRATE: 'off' }, own);
    await service.addUser('ann@example.com', 'correct horse battery');
    await own.query(`REVOKE ALL ON users FROM ${role.name}`);
    const refused = await service.call('postern.v1.AuthService/Login', {
      email: 'ann@example.com',
      password: 'correct horse battery',
    });
    expect([refused.code, refused.reason]).toEqual([status.UNAVAILABLE, 'STORE_UNAVAILABLE']);
    expect(service.logLines.join('')).toContain('permission denied for table users');
    await service.stop();
    const { exitCode, stderr } = await runPostern(['user', 'list'], { environment: environmentOf(role.url) });
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/permission denied.*\n.*migrate --grant-to/);
    await own.drop();
  });
});

test('doctor warns of a setting that only a superuser can change', async () => {
  const own = await createTestDatabase();
  await own.query(`ALTER DATABASE ${nameOf(own)} SET session_replication_role = replica`);
  const { stdout } = await runPostern(['doctor'], {
    environment: { DATABASE_URL: own.url, POSTERN_MASTER_KEY: masterKey },
  });
  expect(stdout).toMatch(/warn +database +session_replication_role is replica/);
  await own.drop();
});

test('a read-only database: doctor warns of it, and the log says so without the statement', async () => {
  const own = await createTestDatabase({ empty: true });
  await own.query(`ALTER DATABASE ${nameOf(own)} SET default_transaction_read_only = on`);
  const { stdout } = await runPostern(['doctor'], {
    environment: { DATABASE_URL: own.url, POSTERN_MASTER_KEY: masterKey },
  });
  expect(stdout).toMatch(/warn +database +the server is read-only for this role/);
  const warnings: string[] = [];
  const database = new Database({
    address: { url: own.url },
    applicationName: 'test',
    maxConnections: 1,
    warn: (message) => warnings.push(message),
  });
  const write = () =>
    database.run(budgetOf(5_000, Date.now()), (db) => db.raw('CREATE TABLE\n  secret_statement ()'));
  for (let attempt = 0; attempt < 2; attempt += 1) await expect(write()).rejects.toThrow('store-unavailable');
  await database.close();
  expect(warnings).toEqual([
    expect.stringMatching(/cannot execute CREATE TABLE in a read-only transaction$/),
  ]);
  await own.drop();
});
