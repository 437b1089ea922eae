import { randomBytes } from 'node:crypto';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { testCall } from '../support/test-call.ts';
import { maintainPartitions, purgeExpired } from '../../src/features/maintenance/purge-expired.ts';
import { purgeAuditEvents } from '../../src/features/audit/audit-queries.ts';
import { Database } from '../../src/database/database.ts';
import { functionGrants, tableGrants, triggerFunctions } from '../../src/database/service-role.ts';
import { migrate, requireSchema } from '../../src/database/migrate.ts';
import { account } from '../support/account.ts';
import { runHere } from '../support/run-here.ts';
import type { CommandEnd } from '../support/run-postern.ts';
import { createRole, createServiceRole, type ServiceRole } from '../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const password = 'correct horse battery';
const hash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';
let database: TestDatabase;
let role: ServiceRole;
let asRole: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  role = await createServiceRole(database);
  asRole = open(role.url);
});
afterAll(async () => {
  await asRole.close();
  await database.drop();
});

function open(url: string): Database {
  return new Database({
    address: { url },
    applicationName: 'test',
    maxConnections: 2,
    warn: () => undefined,
  });
}

function postern(url: string, words: readonly string[], stdin = ''): Promise<CommandEnd> {
  const environment = { DATABASE_URL: url, POSTERN_MASTER_KEY: masterKey, POSTERN_MIGRATE: 'off' };
  return runHere(words, { environment, stdin });
}

/** The SQLSTATE with which a statement ends as the role. */
async function sqlStateOf(url: string, statement: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client
    .query(statement)
    .then(
      () => 'done',
      (error: unknown) => (error as { code: string }).code,
    )
    .finally(() => client.end());
}

test('D16 every table and function of the schema has an entry in the grants', async () => {
  const tables = await database.query(
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
       AND NOT relispartition`,
  );
  expect(tables.map(({ relname }) => relname).sort()).toEqual(Object.keys(tableGrants).sort());
  const functions = await database.query(
    `SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace`,
  );
  const known = [...functionGrants, ...triggerFunctions].map((name) => name.replaceAll(', ', ','));
  expect(functions.map(({ name }) => name).sort()).toEqual(known.sort());
});

test('D16 doctor names a privilege that the role lacks, and how to grant it', async () => {
  const copy = await createTestDatabase();
  const narrow = await createServiceRole(copy);
  await copy.query('REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC');
  const [named] = await copy.query(
    `SELECT oid::regprocedure::text AS name FROM pg_proc WHERE proname = 'postern_begin_login_1'`,
  );
  await copy.query(`REVOKE EXECUTE ON FUNCTION ${String(named?.['name'])} FROM ${narrow.name}`);
  await copy.query(`REVOKE EXECUTE ON FUNCTION postern_audit_partitions() FROM ${narrow.name}`);
  await copy.query(`REVOKE UPDATE ON login_throttle FROM ${narrow.name}`);
  const lacking = await postern(narrow.url, ['doctor']);
  expect(lacking.exitCode).not.toBe(0);
  expect(lacking.stdout).toMatch(
    /lacks UPDATE on login_throttle, EXECUTE on postern_audit_partitions\(\), EXECUTE on postern_begin_login_1\(text, bytea[^)]*\)\n.*postern migrate --grant-to /,
  );
  expect(lacking.stdout).not.toContain('postern_open_session_1');
  const granted = await postern(copy.url, ['migrate', '--grant-to', narrow.name]);
  expect(granted.exitCode).toBe(0);
  expect((await postern(narrow.url, ['doctor'])).stdout).not.toContain('lacks');
  await copy.drop();
});

describe('D16 a service as that role', () => {
  let service: TestService;
  let userId: string;
  beforeAll(async () => {
    service = await startTestService({ DATABASE_URL: role.url, POSTERN_MIGRATE: 'off' }, database);
    const made = await postern(
      role.url,
      ['user', 'create', '--email', 'ann@example.com', '--password-stdin', '--json'],
      password,
    );
    userId = (JSON.parse(made.stdout) as { id: string }).id;
  });
  afterAll(() => service.stop());

  const json = async (...words: string[]) => {
    const end = await postern(role.url, [...words, '--json']);
    expect(end).toMatchObject({ exitCode: 0, stderr: '' });
    return JSON.parse(end.stdout) as Record<string, string>;
  };

  test('logs in, refreshes, verifies, revokes, and counts failed logins', async () => {
    const first = await account.login(service, 'ann@example.com', password);
    const second = await account.refresh(service, first.refresh_token);
    expect(await account.verdict(service, second.access_token)).toBe('OK');
    expect(await account.revoke(service, second.refresh_token)).toBe('OK');
    expect(await account.verdict(service, second.access_token)).toBe('TOKEN_REVOKED');
    const other = await account.login(service, 'ann@example.com', password);
    expect(await account.revoke(service, other.access_token, true)).toBe('OK');
    const wrong = { email: 'ann@example.com', password: 'another' };
    expect((await service.call('postern.v1.AuthService/Login', wrong)).reason).toBe('INVALID_CREDENTIALS');
  });

  test('changes and resets passwords', async () => {
    const { access_token } = await account.login(service, 'ann@example.com', password);
    const changed = await service.call(
      'postern.v1.AuthService/ChangePassword',
      { current_password: password, new_password: 'another horse battery' },
      { authorization: `Bearer ${access_token}` },
    );
    expect(changed).toMatchObject({ code: status.OK });
    const { reset_token } = await json('user', 'reset-password', '--email', 'ann@example.com');
    const reset = await service.call('postern.v1.AuthService/ResetPassword', {
      reset_token,
      new_password: password,
    });
    expect(reset).toMatchObject({ code: status.OK });
    await account.login(service, 'ann@example.com', password);
  });

  test('creates, rotates and deletes service accounts, and issues tokens to them', async () => {
    const made = await json('service', 'create', 'billing');
    const issue = async ({ client_id, client_secret }: Record<string, string>) =>
      (await service.call('postern.v1.AuthService/IssueServiceToken', { client_id, client_secret })).code;
    expect(await issue(made)).toBe(status.OK);
    expect(await issue(await json('service', 'rotate', 'billing', '--now'))).toBe(status.OK);
    await json('service', 'delete', 'billing');
  });

  test('rotates, revokes and rewraps keys', async () => {
    await json('key', 'rotate');
    await json('key', 'rotate', '--now');
    const keys = (await json('key', 'list')) as unknown as { kid: string; state: string }[];
    const active = keys.find(({ state }) => state === 'active');
    await json('key', 'revoke', active?.kid ?? '');
    await json('key', 'rewrap');
    await json('doctor');
  });

  test('imports, lists, disables and enables users', async () => {
    const row = JSON.stringify({ email: 'bob@example.com', password_hash: hash });
    const imported = await postern(role.url, ['user', 'import', '-', '--format', 'jsonl'], row);
    expect(imported).toMatchObject({ exitCode: 0, stdout: 'created 1, skipped 0, refused 0\n' });
    const bob = { email: 'bob@example.com', password: 'correct horse b\u00e4ttery' };
    expect((await service.call('postern.v1.AuthService/Login', bob)).code).toBe(status.OK);
    await json('user', 'disable', '--email', 'bob@example.com');
    await json('user', 'enable', '--email', 'bob@example.com');
    await json('user', 'list');
    await asRole.run(testCall(), (db) => db.raw('DELETE FROM users WHERE email = ?', [bob.email]));
  });

  test('purges what has expired', async () => {
    await database.query(
      `INSERT INTO sessions (id, user_id, nonce, audience, access_expires_at, expires_at)
       VALUES (gen_random_uuid(), $1, $2, 'postern', now() - interval '2 days', now() - interval '2 days')`,
      [userId, randomBytes(16)],
    );
    await database.query(
      `INSERT INTO revocations (kind, id, expires_at) VALUES ('jti', 'old', now() - interval '2 days')`,
    );
    expect(
      await purgeExpired({ database: asRole }, { signal: new AbortController().signal }),
    ).toBeGreaterThanOrEqual(2);
  });

  test('starts with POSTERN_MIGRATE=auto, too, as long as there is nothing to migrate', async () => {
    expect(await migrate(asRole)).toEqual([]);
  });

  test('connects as no other role, and has logged no permission error', async () => {
    const users = await database.query(
      `SELECT DISTINCT usename FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE 'postern %'`,
    );
    expect(users).toEqual([{ usename: role.name }]);
    expect(service.logLines.filter((line) => line.includes('42501') || line.includes('permission'))).toEqual(
      [],
    );
  });
});

test.each([
  ['D17', `UPDATE audit_events SET reason = 'x'`],
  ['D17', 'DELETE FROM audit_events'],
  ['D17', 'TRUNCATE audit_events'],
  ['D17', 'INSERT INTO audit_events SELECT * FROM audit_events ON CONFLICT (id) DO UPDATE SET reason = NULL'],
  ['D16', 'CREATE TABLE mine (id integer)'],
  ['D16', 'CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$'],
  ['D16', 'CREATE SCHEMA mine'],
  ['D16', 'ALTER TABLE users ADD COLUMN mine integer'],
  ['D16', 'DROP TABLE sessions'],
  ['D16', 'TRUNCATE sessions'],
  ['D16', 'ALTER TABLE revocations DISABLE TRIGGER ring'],
  ['D16', `INSERT INTO postern_migrations VALUES (9999, 'x', 'x')`],
  ['D16', `UPDATE postern_migrations SET checksum = 'x'`],
  ['D16', 'DELETE FROM postern_migrations'],
  ['D16', 'DELETE FROM refresh_root'],
  ['D16', 'CREATE ROLE mine'],
])('%s as the service role: %s ends with 42501', async (_row, statement) => {
  expect(await sqlStateOf(role.url, statement)).toBe('42501');
});

test('D16 the service role is no superuser and has no attribute but LOGIN', async () => {
  const [found] = await database.query(
    'SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = $1',
    [role.name],
  );
  expect(Object.values(found ?? {})).toEqual([false, false, false, false, false]);
});

describe('D17 the purge of audit events', () => {
  const insert = (age: string, count = 1) =>
    database.query(
      `INSERT INTO audit_events (id, at, action, outcome, actor_type)
       SELECT gen_random_uuid(), now() - $1::interval, 'aged', 'ok', 'anonymous' FROM generate_series(1, $2)`,
      [age, count],
    );
  const left = async () => (await database.query(`SELECT at FROM audit_events WHERE action = 'aged'`)).length;
  const purge = (limit: number) => asRole.run(testCall(), (db) => purgeAuditEvents(db, limit));

  test('deletes the oldest events of no month beyond 432 days, in batches', async () => {
    await insert('433 days', 5);
    await insert('431 days', 2);
    expect([await purge(3), await purge(3), await purge(3)]).toEqual([3, 2, 0]);
    expect(await left()).toBe(2);
    await insert('433 days');
    await purgeExpired({ database: asRole }, { signal: new AbortController().signal });
    expect(await left()).toBe(2);
  });

  test.each(['29, 10', '0, 10', '-400, 10', 'NULL, 10', '400, NULL', '400, 0', '400, 10001'])(
    'is refused with (%s)',
    async (values) => {
      await insert('500 days');
      const before = await left();
      expect(await sqlStateOf(role.url, `SELECT postern_purge_audit_events(${values})`)).toBe('22023');
      expect(await left()).toBe(before);
    },
  );

  test("ignores a caller's own tables and search path", async () => {
    await insert('10 days', 3);
    const before = await left();
    const client = new Client({ connectionString: role.url });
    await client.connect();
    await client.query('CREATE TEMP TABLE audit_events (at timestamptz)');
    await client.query(`INSERT INTO pg_temp.audit_events VALUES (now() - interval '900 days')`);
    await client.query('SET search_path = pg_temp, public');
    await client.query('SELECT public.postern_purge_audit_events(400, 10)');
    const { rows } = await client.query('SELECT FROM pg_temp.audit_events');
    await client.end();
    expect(rows).toHaveLength(1);
    expect(await left()).toBeLessThanOrEqual(before);
  });

  test('is forbidden to other roles', async () => {
    const otherRole = await createRole(database);
    expect(await sqlStateOf(otherRole.url, 'SELECT postern_purge_audit_events(400, 10)')).toBe('42501');
    expect(await sqlStateOf(otherRole.url, 'SELECT FROM users')).toBe('42501');
  });
});

describe('migrate --grant-to', () => {
  let other: TestDatabase;
  beforeAll(async () => {
    other = await createTestDatabase({ empty: true });
  });
  afterAll(() => other.drop());

  const grantTo = (name: string) => postern(other.url, ['migrate', '--grant-to', name, '--json']);

  test('migrates and grants, repeatedly, and revokes any additional grants', async () => {
    const { name, url } = await createRole(other);
    expect(JSON.parse((await grantTo(name)).stdout)).toMatchObject({ granted_to: name });
    await other.query(`GRANT ALL ON audit_events, users TO ${name}`);
    await other.query(`GRANT UPDATE (reason) ON audit_events TO ${name}`);
    expect(await grantTo(name)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await sqlStateOf(url, `UPDATE audit_events SET reason = 'x'`)).toBe('42501');
    expect(await sqlStateOf(url, 'TRUNCATE users')).toBe('42501');
    expect(await sqlStateOf(url, 'SELECT FROM users')).toBe('done');
  });

  test('quotes any role name', async () => {
    const { name, url } = await createRole(other, `Odd" TO x; DROP TABLE users; -- ?.'`);
    expect(await grantTo(name)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await sqlStateOf(url, 'SELECT FROM users')).toBe('done');
  });

  test.each(['public', 'PUBLIC', 'none', 'current_user', 'nobody_at_all', 'x"; DROP TABLE users; --'])(
    'refuses %s, which is not a role',
    async (name) => {
      const end = await grantTo(name);
      expect(end).toMatchObject({ exitCode: 5, stdout: '' });
      expect(end.stderr).toContain('role');
    },
  );

  test('refuses a superuser and a role that owns the tables', async () => {
    const [superuser] = await other.query('SELECT current_user AS name');
    expect((await grantTo(String(superuser?.['name']))).stderr).toContain('is a superuser');
    const owner = await createRole(other);
    const member = await createRole(other);
    const before = await other.query(
      `SELECT relowner::regrole AS name FROM pg_class WHERE relname = 'sessions'`,
    );
    await other.query(`ALTER TABLE sessions OWNER TO ${owner.name}`);
    await other.query(`GRANT ${owner.name} TO ${member.name}`);
    for (const { name } of [owner, member]) {
      expect(await grantTo(name)).toMatchObject({ exitCode: 5, stdout: '' });
      expect((await grantTo(name)).stderr).toContain("owns Postern's tables");
    }
    await other.query(`ALTER TABLE sessions OWNER TO ${String(before[0]?.['name'])}`);
  });

  test.each([
    [
      'GRANT UPDATE ON audit_events TO PUBLIC',
      'REVOKE UPDATE ON audit_events FROM PUBLIC',
      'UPDATE on audit_events',
    ],
    [
      'GRANT UPDATE (reason) ON audit_events TO PUBLIC',
      'REVOKE UPDATE (reason) ON audit_events FROM PUBLIC',
      'UPDATE on audit_events',
    ],
    [
      'GRANT CREATE ON SCHEMA public TO PUBLIC',
      'REVOKE CREATE ON SCHEMA public FROM PUBLIC',
      'CREATE on schema public',
    ],
  ])('refuses a role with further rights through PUBLIC: %s', async (more, less, expected) => {
    const { name, url } = await createRole(other);
    await other.query(more);
    const end = await grantTo(name);
    await other.query(less);
    expect(end).toMatchObject({ exitCode: 5, stdout: '' });
    expect(end.stderr).toContain(expected);
    expect(await sqlStateOf(url, 'SELECT FROM users')).toBe('42501');
  });

  test('works in another schema that both search paths name', async () => {
    const { name, url } = await createRole(other);
    await other.query('CREATE SCHEMA "Auth"');
    const inSchema = (address: string) => {
      const changed = new URL(address);
      changed.searchParams.set('options', '-c search_path="Auth"');
      // As libpq does, Postern reads a plus sign as itself.
      return changed.href.replaceAll('+', '%20');
    };
    const end = await postern(inSchema(other.url), ['migrate', '--grant-to', name]);
    expect(end).toMatchObject({ exitCode: 0, stderr: '' });
    const here = open(inSchema(url));
    await requireSchema(here, { allowNewer: false });
    expect(await purgeExpired({ database: here }, { signal: new AbortController().signal })).toBe(0);
    await maintainPartitions({ database: here });
    await here.close();
    expect(
      await other.query(
        `SELECT FROM pg_class WHERE relispartition AND relnamespace = '"Auth"'::regnamespace`,
      ),
    ).not.toEqual([]);
    expect(await sqlStateOf(inSchema(url), 'DELETE FROM audit_events')).toBe('42501');
    expect(await sqlStateOf(url, 'SELECT FROM public.users')).toBe('42501');
  });
});
