import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { migrate } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/migrations.ts';
import { account, verdictOf } from '../support/account.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { serviceToken } from '../support/callers.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

/** The schema of the release before: CHANGELOG.md names the migrations since. */
const BEFORE = migrations.slice(0, 9);
const ann = 'ann@example.com';
const bob = 'bob@example.com';
const password = 'correct horse battery';

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
