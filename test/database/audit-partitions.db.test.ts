import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { migrate } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/migrations.ts';
import { grantServiceRole } from '../../src/database/service-role.ts';
import { uuidV7 } from '../../src/domain/uuid.ts';
import { createRole, type ServiceRole } from '../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

const BEFORE = migrations.slice(0, 21);
const DAY_MS = 86_400_000;
const PARTITIONS = `SELECT tableoid::regclass::text AS partition, count(*)::int AS events FROM audit_events GROUP BY 1 ORDER BY 1`;

let count = 0;
/** The id that an instance gives to an event, so many days from now. */
function idIn(days: number): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE((count += 1), 12);
  return uuidV7(Date.now() + days * DAY_MS, bytes);
}

/** Inserts an event; its `at` is that of its id, unless it is given in days. */
function insertInto(db: TestDatabase, days: number, atDays = days): Promise<unknown> {
  return db.query(
    `INSERT INTO audit_events (id, at, action, outcome, actor_type) VALUES ($1, now() + $2 * interval '1 day', 'login', 'ok', 'user')`,
    [idIn(days), atDays],
  );
}

const make = async (db: TestDatabase, days = 400) =>
  (await db.query('SELECT postern_make_partitions($1) AS changed', [days]))[0]?.['changed'];

/** The first day of a month, so many months from now, as PostgreSQL's `to_char` writes it in a name. */
function monthName(ahead: number): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1))
    .toISOString()
    .slice(0, 7)
    .replace('-', '_');
}

describe('R25 the migration of an audit trail with events', () => {
  let store: TestDatabase;
  let role: ServiceRole;
  let open: Client;
  const insertion = {
    name: 'insert',
    text: `INSERT INTO audit_events (id, action, outcome, actor_type) VALUES ($1, 'login', 'ok', 'user')`,
  };
  const fileNode = async (table: string) =>
    (await store.query('SELECT pg_relation_filenode($1::regclass) AS node', [table]))[0]?.['node'];
  let before: unknown;

  beforeAll(async () => {
    store = await createTestDatabase({ empty: true });
    await migrate(store.database, BEFORE);
    role = await createRole(store);
    await store.query(`GRANT SELECT, INSERT ON audit_events TO ${role.name}`);
    await store.query(
      `GRANT EXECUTE ON FUNCTION postern_purge_audit_events(integer, integer) TO ${role.name}`,
    );
    // A database whose new tables are open to the role unless the migration closes them.
    await store.query(`ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${role.name}`);
    for (const days of [-500, -1, 0, 3650]) await insertInto(store, days, Math.min(days, 0));
    open = new Client({ connectionString: role.url });
    await open.connect();
    await open.query({ ...insertion, values: [idIn(0)] });
    before = await fileNode('audit_events');
    expect(await migrate(store.database)).toEqual(migrations.slice(21).map(({ name }) => name));
  });
  afterAll(async () => {
    await open.end();
    await store.drop();
  });

  test('copies nothing, and moves only ids of the far future', async () => {
    expect(await fileNode('audit_events_first')).toBe(before);
    expect(await store.query(PARTITIONS)).toEqual([
      { partition: 'audit_events_default', events: 1 },
      { partition: 'audit_events_first', events: 4 },
    ]);
  });

  test('a connection of the release before goes on with its prepared statement, and purges', async () => {
    await open.query({ ...insertion, values: [idIn(0)] });
    // In two partitions, at the same position.
    await insertInto(store, 4000, 0);
    const { rows } = await open.query('SELECT postern_purge_audit_events(400, 500) AS purged');
    expect(rows).toEqual([{ purged: 1 }]);
    expect(await store.query(PARTITIONS)).toEqual([
      { partition: 'audit_events_default', events: 2 },
      { partition: 'audit_events_first', events: 4 },
    ]);
  });

  test('R26 nobody who calls a function with the rights of the owner chooses the tables that it works on', async () => {
    const functions = await store.query(
      `SELECT proname AS name, array_to_string(proconfig, ' ') AS settings FROM pg_proc
       WHERE prosecdef AND pronamespace = current_schema()::regnamespace`,
    );
    expect(functions.map(({ name }) => name)).toContain('postern_make_partitions');
    for (const { name, settings } of functions)
      expect([name, settings]).toEqual([
        name,
        expect.stringMatching(/search_path=pg_catalog, .*, pg_temp\b/),
      ]);
  });

  test.each(['audit_events', 'audit_events_first', 'audit_events_default', `audit_events_${monthName(2)}`])(
    'R26 the role of the service changes nothing in %s',
    async (table) => {
      await make(store);
      const { rows } = await open.query(
        `SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
         WHERE has_table_privilege($1, privilege)`,
        [table],
      );
      expect(rows.map(({ privilege }: { privilege: string }) => privilege)).toEqual(
        table === 'audit_events' ? ['SELECT', 'INSERT'] : [],
      );
      for (const statement of [
        `UPDATE ${table} SET reason = 'x'`,
        `DELETE FROM ${table}`,
        `TRUNCATE ${table}`,
      ])
        await expect(open.query(statement)).rejects.toMatchObject({ code: '42501' });
    },
  );

  test('R26 grants of the service that somebody made on a partition are revoked, or refused', async () => {
    await store.query(`GRANT UPDATE ON audit_events_first TO ${role.name}`);
    await grantServiceRole(store.database, role.name);
    await expect(open.query(`UPDATE audit_events_first SET reason = 'x'`)).rejects.toMatchObject({
      code: '42501',
    });
    await store.query('GRANT DELETE ON audit_events_default TO PUBLIC');
    await expect(grantServiceRole(store.database, role.name)).rejects.toThrow(
      'DELETE on audit_events_default',
    );
    await store.query('REVOKE DELETE ON audit_events_default FROM PUBLIC');
  });
});

test('R25 the bound may be checked before the migration, as the changelog says', async () => {
  const store = await createTestDatabase({ empty: true });
  await migrate(store.database, BEFORE);
  await insertInto(store, -1);
  const changelog = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
  const statements =
    changelog.match(/(DO \$\$ .*audit_events_first.*\$\$;|ALTER TABLE audit_events VALIDATE .*;)/g) ?? [];
  expect(statements).toHaveLength(2);
  for (const statement of statements) await store.query(statement);
  const [constraint] = await store.query(
    `SELECT substring(pg_get_constraintdef(oid) FROM '[0-9a-f-]{36}') AS bound, convalidated FROM pg_constraint WHERE conname = 'audit_events_first'`,
  );
  expect(constraint).toMatchObject({ convalidated: true });
  // The bound is taken from the CHECK: here from another one, which nobody has validated.
  const bound = idIn(5);
  await insertInto(store, 6);
  await store.query('ALTER TABLE audit_events DROP CONSTRAINT audit_events_first');
  await store.query(
    `ALTER TABLE audit_events ADD CONSTRAINT audit_events_first CHECK (id < '${bound}') NOT VALID`,
  );
  await migrate(store.database);
  const partitions = await store.query(
    'SELECT partition::text, to_id FROM postern_audit_partitions() ORDER BY 1',
  );
  expect(partitions).toEqual([
    { partition: 'audit_events_default', to_id: null },
    { partition: 'audit_events_first', to_id: bound },
  ]);
  expect(await store.query(PARTITIONS)).toEqual([
    { partition: 'audit_events_default', events: 1 },
    { partition: 'audit_events_first', events: 1 },
  ]);
  await store.drop();
});

test('R25 partitions are made, and events purged, when another role than the owner has migrated', async () => {
  const store = await createTestDatabase({ empty: true });
  await migrate(store.database, BEFORE);
  const owner = await createRole(store);
  await store.query(`GRANT CREATE, USAGE ON SCHEMA public TO ${owner.name}`);
  await store.query(`ALTER TABLE audit_events OWNER TO ${owner.name}`);
  await store.query(`ALTER FUNCTION postern_purge_audit_events(integer, integer) OWNER TO ${owner.name}`);
  await insertInto(store, -500);
  await migrate(store.database);
  expect(await make(store)).toBe(2);
  expect(await store.query('SELECT postern_purge_audit_events(400, 500) AS purged')).toEqual([{ purged: 1 }]);
  const owners = `SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relname LIKE 'audit\\_events%'`;
  expect(await store.query(owners)).toEqual([{ owner: owner.name }]);
  await store.drop();
});

describe('R27 the partitions', () => {
  let store: TestDatabase;
  const names = async () =>
    (await store.query('SELECT partition::text FROM postern_audit_partitions() ORDER BY 1')).map(
      ({ partition }) => String(partition).replace('audit_events_', ''),
    );
  /** Moves the bounds of the first partition, as if the migration had been so many months ago. */
  const migratedMonthsAgo = async (months: number) => {
    await store.query('ALTER TABLE audit_events DETACH PARTITION audit_events_first');
    await store.query(
      `DO $$ BEGIN EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION audit_events_first FOR VALUES FROM (MINVALUE) TO (%L)',
         postern_lowest_id((date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ${2 - months})) AT TIME ZONE 'UTC')); END $$`,
    );
  };
  beforeAll(async () => {
    store = await createTestDatabase();
  });
  afterAll(() => store.drop());

  test('of three months are made ahead, once, by however many at once', async () => {
    // Whoever waits for the other for too long gives up.
    const changed = await Promise.all(
      [1, 2, 3, 4].map(() => make(store).catch((error: unknown) => (error as { code: string }).code)),
    );
    expect(changed.filter((result) => result !== 0 && result !== '55P03')).toEqual([2]);
    expect(await names()).toEqual([monthName(2), monthName(3), 'default', 'first']);
    await insertInto(store, 0);
    await insertInto(store, 70);
    expect((await store.query(PARTITIONS)).map(({ partition }) => partition)).not.toContain(
      'audit_events_default',
    );
  });

  test('of a month that was missing take its events out of the default one, unless they are many', async () => {
    await store.query(`DROP TABLE audit_events_${monthName(2)}, audit_events_${monthName(3)}`);
    await store.query('DELETE FROM audit_events');
    await migratedMonthsAgo(3);
    await insertInto(store, 0);
    await store.query(
      `INSERT INTO audit_events (id, action, outcome, actor_type)
       SELECT (left(postern_lowest_id(now() + interval '62 days')::text, 24) || lpad(to_hex(i), 12, '0'))::uuid, 'login', 'ok', 'user'
       FROM generate_series(1, 1001) AS i`,
    );
    expect(await store.query(PARTITIONS)).toEqual([{ partition: 'audit_events_default', events: 1002 }]);
    expect(await make(store)).toBe(3);
    const [ofNow, ofLater] = await store.query(PARTITIONS);
    expect(ofNow).toEqual({ partition: `audit_events_${monthName(0)}`, events: 1 });
    expect(ofLater).toEqual({ partition: 'audit_events_default', events: 1001 });
    expect(await make(store)).toBe(0);
  });

  test('are dropped a month a call, when every event is older than the retention, and never the default one', async () => {
    await store.query('DELETE FROM audit_events');
    expect(await make(store)).toBe(1);
    await migratedMonthsAgo(24);
    await insertInto(store, -800);
    await insertInto(store, -500);
    // An instance whose clock is two years behind.
    await insertInto(store, -810, 0);
    expect((await store.query(PARTITIONS)).map(({ partition }) => partition)).toContain('audit_events_first');
    expect(await make(store)).toBe(0);
    await store.query(`DELETE FROM audit_events WHERE at > now() - interval '1 day'`);
    expect(await make(store)).toBe(1);
    expect(await names()).not.toContain('first');
    expect(await store.query(PARTITIONS)).toEqual([{ partition: 'audit_events_default', events: 1 }]);
    expect(await make(store, 30)).toBe(0);
    expect(await store.query(PARTITIONS)).toHaveLength(1);
  });

  test.each(['29', '0', '-400', 'NULL'])('are not dropped with %s days', async (days) => {
    await expect(store.query(`SELECT postern_make_partitions(${days})`)).rejects.toMatchObject({
      code: '22023',
    });
  });

  test('stay, and so do events, for 30 days in whatever time zone the caller chooses', async () => {
    await store.query('DELETE FROM audit_events');
    await insertInto(store, -29);
    const years = { start: new Date(Date.now() - 20 * DAY_MS), end: new Date(Date.now() + 20 * DAY_MS) };
    const dayOfYear = (date: Date) =>
      Math.ceil((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS);
    // 30 days ago it was another half of the year, 334 hours away.
    const zones = [
      ['AAA-167BBB+167', years.start, years.end],
      ['AAA+167BBB-167', years.start, years.end],
    ] as const;
    const shifts: number[] = [];
    for (const [zone, from, until] of zones) {
      const client = new Client({ connectionString: store.url });
      await client.connect();
      await client.query(`SET timezone = '${zone},J${dayOfYear(from)}/0,J${dayOfYear(until)}/0'`);
      const { rows } = await client.query<{ hours: number }>(
        `SELECT extract(epoch FROM now() - (now() - interval '30 days'))::int / 3600 AS hours`,
      );
      shifts.push(rows[0]?.hours ?? 0);
      expect((await client.query('SELECT postern_purge_audit_events(30, 500) AS purged')).rows).toEqual([
        { purged: 0 },
      ]);
      await client.end();
    }
    expect(Math.min(...shifts)).toBe(30 * 24 - 334);
    expect(await store.query('SELECT FROM audit_events')).toHaveLength(1);
  });

  test('are kept when they are empty and not old, however many days are asked for', async () => {
    while ((await make(store)) !== 0);
    const before = await names();
    expect(await make(store, 30_000)).toBe(0);
    expect(await names()).toEqual(before);
  });

  test('are not dropped by a transaction that cannot see what was recorded since it began', async () => {
    await store.query('DELETE FROM audit_events');
    await store.query(`DO $$ BEGIN EXECUTE format('CREATE TABLE audit_events_old PARTITION OF audit_events
      FOR VALUES FROM (MINVALUE) TO (%L)', postern_lowest_id(now() - interval '600 days')); END $$`);
    const client = new Client({ connectionString: store.url });
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('SELECT 1');
    await insertInto(store, -800, 0);
    await expect(client.query('SELECT postern_make_partitions(400)')).rejects.toMatchObject({
      code: '25000',
    });
    await client.end();
    expect(await store.query(PARTITIONS)).toEqual([{ partition: 'audit_events_old', events: 1 }]);
  });

  test('wait 100 ms for somebody who reads, and are made the next time', async () => {
    await store.query(`DROP TABLE audit_events_${monthName(3)}`);
    await store.database.unlimited(async (trx) => {
      await trx.raw('SELECT FROM audit_events_default');
      await expect(make(store)).rejects.toMatchObject({ code: '55P03' });
    });
    expect(await make(store)).toBe(1);
  });
});
