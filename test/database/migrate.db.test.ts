import { readFileSync, writeFileSync } from 'node:fs';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { Database } from '../../src/database/database.ts';
import { migrate, readSchemaState, requireSchema, SchemaMismatch } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/migrations.ts';
import { nextMigration } from '../support/next-migration.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let empty: TestDatabase;
beforeEach(async () => {
  empty = await createTestDatabase({ empty: true });
});
afterEach(() => empty.drop());

test('D15 ten instances that start at once migrate once', async () => {
  const pools = Array.from(
    { length: 10 },
    () =>
      new Database({
        address: { url: empty.url },
        applicationName: 'test',
        maxConnections: 1,
        warn: () => undefined,
      }),
  );
  const applied = await Promise.all(pools.map((pool) => migrate(pool)));
  await Promise.all(pools.map((pool) => pool.close()));
  expect(applied.flat()).toEqual(migrations.map(({ name }) => name));
  expect(await readSchemaState(empty.database)).toEqual({
    applied: migrations.length,
    known: migrations.length,
  });
});

test('D15 an applied migration that differs is refused and nothing is changed', async () => {
  await migrate(empty.database);
  await empty.query(`UPDATE postern_migrations SET checksum = 'another'`);
  await expect(migrate(empty.database)).rejects.toThrow(SchemaMismatch);
  await expect(readSchemaState(empty.database)).rejects.toThrow(SchemaMismatch);
});

test('D15 migrate leaves a newer schema unchanged, and requireSchema refuses it unless newer is allowed', async () => {
  await migrate(empty.database, [...migrations, nextMigration('SELECT 1')]);
  expect(await migrate(empty.database)).toEqual([]);
  await requireSchema(empty.database, { allowNewer: true });
  await expect(requireSchema(empty.database, { allowNewer: false })).rejects.toThrow('newer');
});

test('an empty database is refused with the advice to migrate', async () => {
  for (const newer of [true, false])
    await expect(requireSchema(empty.database, { allowNewer: newer })).rejects.toThrow(
      "run 'postern migrate'",
    );
});

test('D15 a migration that fails rolls back itself and those before it in the same run', async () => {
  const relations = () =>
    empty.query(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`);
  const failing = [...migrations, nextMigration('CREATE TABLE half_made (id integer); SELECT 1 / 0')];
  await expect(migrate(empty.database, failing)).rejects.toThrow('division by zero');
  expect(await relations()).toEqual([]);

  await migrate(empty.database);
  const before = await relations();
  await expect(migrate(empty.database, failing)).rejects.toThrow('division by zero');
  expect(await relations()).toEqual(before);
  await requireSchema(empty.database, { allowNewer: false });
});

test('the indexes of the audit trail may be built before their migration, as the changelog says', async () => {
  await migrate(empty.database, migrations.slice(0, 20));
  const changelog = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
  const statements = changelog.match(/CREATE INDEX CONCURRENTLY .*;/g) ?? [];
  expect(statements).toHaveLength(2);
  for (const statement of statements) await empty.query(statement);
  const indexes = () =>
    empty.query(`SELECT indexdef FROM pg_indexes WHERE tablename = 'audit_events' ORDER BY 1`);
  const built = await indexes();
  await migrate(empty.database, migrations.slice(0, 21));
  expect(await indexes()).toEqual(built);
  // Those of the migration itself are the same.
  await empty.query('DROP INDEX audit_events_by_action, audit_events_refused');
  await empty.query(migrations[20]?.sql ?? '');
  expect(await indexes()).toEqual(built);
});

test('the migrated schema equals schema.txt', async () => {
  await migrate(empty.database);
  const rows = await empty.query(`
    SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
           || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS line
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
     WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f')
    ORDER BY line`);
  const found = rows.map(({ line }) => `${String(line)}\n`).join('');
  const file = new URL('./schema.txt', import.meta.url);
  if (process.env['UPDATE_SCHEMA'] === '1') writeFileSync(file, found);
  expect(found).toBe(readFileSync(file, 'utf8'));
});
