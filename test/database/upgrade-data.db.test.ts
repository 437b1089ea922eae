import { randomBytes, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { explainFailure } from '../../src/cli/explain-failure.ts';
import { migrate } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/migrations.ts';
import { grantServiceRole, tableGrants } from '../../src/database/service-role.ts';
import { account, verdictOf } from '../support/account.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { serviceToken } from '../support/callers.ts';
import { createRole } from '../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

/** The schema of the release before: CHANGELOG.md names the migrations since. */
const BEFORE = migrations.slice(0, 9);
const ann = 'ann@example.com';
const bob = 'bob@example.com';
const password = 'correct horse battery';
const hash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';

let source: TestDatabase;
let upgraded: TestDatabase;
let service: TestService | undefined;
beforeAll(async () => {
  source = await createTestDatabase();
  upgraded = await createTestDatabase({ empty: true });
});
afterAll(async () => {
  await service?.stop();
  await source.drop();
  await upgraded.drop();
});

/** Copies what the tables of the older schema can hold. */
async function copyRows(from: TestDatabase, to: TestDatabase): Promise<void> {
  const columns = await to.query(
    `SELECT table_name, string_agg(quote_ident(column_name), ', ') AS names FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name <> 'postern_migrations' GROUP BY table_name`,
  );
  // Foreign keys refer to these two.
  const first = ['users', 'service_accounts'];
  columns.sort((a, b) => first.indexOf(String(b['table_name'])) - first.indexOf(String(a['table_name'])));
  for (const { table_name: table, names } of columns) {
    const [row] = await from.query(
      `SELECT jsonb_agg(t) AS all FROM (SELECT ${String(names)} FROM ${String(table)}) t`,
    );
    await to.query(
      `INSERT INTO ${String(table)} (${String(names)})
       SELECT ${String(names)} FROM jsonb_populate_recordset(NULL::${String(table)}, $1)`,
      [JSON.stringify(row?.['all'] ?? [])],
    );
  }
}

test('D15 what the release before has stored is in force after the upgrade', async () => {
  const old = await startTestService({ POSTERN_REFRESH_TOKEN_FORM: '1' }, source);
  const fixture = await openAdminFixture(source);
  await old.addUser(ann, password, ['reader']);
  await old.addUser(bob, password);
  const [kept, ended] = [await account.login(old, ann, password), await account.login(old, ann, password)];
  expect(await account.revoke(old, ended.refresh_token)).toBe('OK');
  const robot = await fixture.createService('robot');
  const robotToken = await serviceToken(old, robot);
  const reset = await fixture.resetFor(bob);
  await old.stop();

  await migrate(upgraded.database, BEFORE);
  await copyRows(source, upgraded);
  expect(await migrate(upgraded.database)).toEqual(migrations.slice(BEFORE.length).map(({ name }) => name));

  service = await startTestService({}, upgraded);
  expect(await account.verdict(service, kept.access_token)).toBe('OK');
  expect(await account.verdict(service, ended.access_token)).toBe('TOKEN_REVOKED');
  expect(await account.refreshVerdict(service, ended.refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
  const next = await account.refresh(service, kept.refresh_token);
  expect(next.session_id).toBe(kept.session_id);
  expect(
    await account.verdict(service, (await account.refresh(service, next.refresh_token)).access_token),
  ).toBe('OK');
  expect(await account.verdict(service, (await account.login(service, ann, password)).access_token)).toBe(
    'OK',
  );

  expect(await account.verdict(service, robotToken)).toBe('OK');
  expect(await account.verdict(service, await serviceToken(service, robot))).toBe('OK');
  const setPassword = { reset_token: reset, new_password: 'another horse battery' };
  expect(verdictOf(await service.call('postern.v1.AuthService/ResetPassword', setPassword))).toBe('OK');
  expect(await account.revoke(service, next.access_token, true)).toBe('OK');
  expect(await account.verdict(service, kept.access_token)).toBe('TOKEN_REVOKED');
});

test('D15 until the grants are repeated, the release before changes and deletes users and accounts, and their API keys follow', async () => {
  const store = await createTestDatabase({ empty: true });
  const { name, url } = await createRole(store);
  await migrate(store.database, BEFORE);
  const tables = await store.query(
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`,
  );
  for (const { relname } of tables)
    await store.query(
      `GRANT ${(tableGrants[String(relname)] ?? []).join(', ')} ON ${String(relname)} TO ${name}`,
    );
  const [userId, accountId] = [randomUUID(), randomUUID()];
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`INSERT INTO users (id, email, password_hash) VALUES ($1, 'a@example.com', $2)`, [
    userId,
    hash,
  ]);
  await client.query(`INSERT INTO service_accounts (id, name, secret_digest) VALUES ($1, 'robot', $2)`, [
    accountId,
    randomBytes(32),
  ]);
  await migrate(store.database);
  for (const [column, id] of [
    ['user_id', userId],
    ['account_id', accountId],
  ])
    await store.query(
      `INSERT INTO api_keys (id, ${column}, name, digest, mac, roles, audience) VALUES ($1, $1, 'k', $2, $2, '{}', 'postern')`,
      [id, randomBytes(32)],
    );
  const states = async () =>
    (await store.query('SELECT revocation_id FROM api_keys')).map(({ revocation_id }) =>
      String(revocation_id),
    );
  for (const [sql, id] of [
    [`UPDATE users SET roles = '{reader}' WHERE id = $1`, userId],
    ['UPDATE users SET disabled_at = now() WHERE id = $1', userId],
    [`UPDATE service_accounts SET roles = '{reader}' WHERE id = $1`, accountId],
  ] as const) {
    const before = await states();
    await client.query(sql, [id]);
    expect((await states()).filter((state) => !before.includes(state))).toHaveLength(1);
  }
  await client.query('DELETE FROM users WHERE id = $1', [userId]);
  await client.query('DELETE FROM service_accounts WHERE id = $1', [accountId]);
  expect(await states()).toEqual([]);
  const revoked = await store.query('SELECT id FROM revocations WHERE id = ANY ($1)', [[userId, accountId]]);
  expect(revoked).toHaveLength(2);
  await client.end();
  await store.drop();
});

test('D16 a service whose role lacks the grants of a migration does not start, and says what to run', async () => {
  const store = await createTestDatabase();
  const { name, url } = await createRole(store);
  await grantServiceRole(store.database, name);
  await store.query(`REVOKE ALL ON factors, recovery_codes, code_failures FROM ${name}`);
  const start = () => startTestService({ DATABASE_URL: url, POSTERN_MIGRATE: 'off' }, store);
  const error = await start().then(
    (started) => started.stop(),
    (thrown: unknown) => thrown,
  );
  const { exitCode, lines } = explainFailure(error);
  expect(exitCode).toBe(exitCodes.settings);
  expect(lines.join('\n')).toContain(`${name} lacks SELECT on factors, `);
  expect(lines.join('\n')).toContain('postern migrate --grant-to ROLE');

  await grantServiceRole(store.database, name);
  await (await start()).stop();
  await store.drop();
});
