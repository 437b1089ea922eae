import { randomUUID } from 'node:crypto';

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { migrate } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/migrations.ts';
import { createServiceRole } from '../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
});
afterEach(() => database.drop());

const BEFORE = migrations.slice(0, 10);
const addUser = (id: string, columns = '', values = '') =>
  database.query(`INSERT INTO users (id, email${columns}) VALUES ($1, $2${values})`, [
    id,
    `${id}@example.com`,
  ]);
const addEvent = (action: string, id: string, age: string, outcome = 'ok') =>
  database.query(
    `INSERT INTO audit_events (id, at, action, outcome, actor_type, target_type, target_id)
     VALUES (gen_random_uuid(), now() - $1::interval, $2, $3, 'operator', 'user', $4)`,
    [age, action, outcome, id],
  );
const retired = async () =>
  (await database.query('SELECT id FROM retired_ids ORDER BY id')).map(({ id }) => String(id));
const constraintOf = (statement: Promise<unknown>) =>
  statement.then(
    () => 'done',
    (error: unknown) => (error as { constraint?: string }).constraint,
  );

test('A04 ids of users and service accounts who were deleted before the upgrade are taken from the audit trail', async () => {
  await migrate(database.database, BEFORE);
  const [old, recent, byHand, robot, living, foreign] = Array.from({ length: 6 }, () => randomUUID()) as [
    string, string, string, string, string, string,
  ]; // prettier-ignore
  await addUser(living);
  await addEvent('user.create', living, '300 days');
  await addEvent('user.delete', old, '390 days');
  await addEvent('user.delete', recent, '1 minute');
  await addEvent('user.create', byHand, '2 days');
  await addEvent('service.delete', robot, '3 days');
  // Not a user who was: a refused deletion of somebody unknown, and whoever was looked at.
  await addEvent('user.delete', foreign, '1 day', 'refused');
  await addEvent('user.read', foreign, '1 day');
  await addEvent('user.delete', 'no uuid', '1 day');
  await migrate(database.database, migrations.slice(0, 11));
  expect(await retired()).toEqual([old, recent, byHand, robot].sort());
  for (const id of [old, recent, byHand, robot])
    expect(await constraintOf(addUser(id))).toBe('users_id_never_again');
  expect(await constraintOf(addUser(foreign))).toBe('done');
});

test('A04 an id stays taken when the release before deletes the user, and whoever else does', async () => {
  await migrate(database.database);
  const role = await createServiceRole(database);
  // As the release before was granted, which does not know the table.
  await database.query(`REVOKE ALL ON retired_ids FROM ${role.name}`);
  const before = new Client({ connectionString: role.url });
  await before.connect();
  try {
    const id = randomUUID();
    await before.query('INSERT INTO users (id, email, password_hash, roles) VALUES ($1, $2, NULL, $3)', [
      id,
      'ann@example.com',
      [],
    ]);
    await before.query('DELETE FROM users WHERE id = $1', [id]);
    expect(await retired()).toEqual([id]);
    expect(await constraintOf(addUser(id))).toBe('users_id_never_again');
    const again = before.query('INSERT INTO users (id, email) VALUES ($1, $2)', [id, 'ann@example.com']);
    expect(await constraintOf(again)).toBe('users_id_never_again');
  } finally {
    await before.end();
  }
});

test('D16 A04 whoever has taken over the role of the service frees no id', async () => {
  await migrate(database.database);
  const role = await createServiceRole(database);
  const id = randomUUID();
  await addUser(id);
  await database.query('DELETE FROM users WHERE id = $1', [id]);
  const attacker = new Client({ connectionString: role.url });
  await attacker.connect();
  try {
    for (const statement of [
      'DELETE FROM retired_ids',
      'UPDATE retired_ids SET id = gen_random_uuid()',
      'TRUNCATE retired_ids',
      'INSERT INTO retired_ids VALUES (gen_random_uuid(), now())',
      'ALTER TABLE users DISABLE TRIGGER never_again',
      'SET session_replication_role = replica',
    ])
      expect([
        statement,
        await attacker.query(statement).catch((error: unknown) => (error as { code: string }).code),
      ]).toEqual([statement, '42501']);
    await attacker.query('CREATE TEMP TABLE retired_ids (id uuid)');
    await attacker.query('SET search_path = pg_temp, public');
    const again = attacker.query('INSERT INTO public.users (id, email) VALUES ($1, $2)', [
      id,
      'a@example.com',
    ]);
    expect(await constraintOf(again)).toBe('users_id_never_again');
    const other = randomUUID();
    await addUser(other);
    const renamed = attacker.query('UPDATE public.users SET id = $1 WHERE id = $2', [id, other]);
    expect(await constraintOf(renamed)).toBe('users_id_never_again');
    const moved = randomUUID();
    await attacker.query('UPDATE public.users SET id = $1 WHERE id = $2', [moved, other]);
    await attacker.query('UPDATE public.users SET id = $1 WHERE id = $1', [moved]);
    expect(await retired()).toEqual([id, other].sort());
  } finally {
    await attacker.end();
  }
});
