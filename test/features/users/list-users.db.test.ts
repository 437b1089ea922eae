import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { listUsers, type UserFilter } from '../../../src/features/users/list-users-queries.ts';
import { lockOthersWithRole } from '../../../src/features/users/user-queries.ts';
import type { Transaction } from '../../../src/database/database.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const USERS = 12_000;
const all: UserFilter = { email: null, emailPrefix: null, role: null, disabled: null };

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  // Of equal age in pairs. `often` has more holders than are sorted at once, `seldom` one of 400, all late ones.
  await database.query(`
    INSERT INTO users (id, email, roles, disabled_at, created_at)
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex((n * 7919) % 65536), 12, '0'))::uuid,
      CASE WHEN n % 3 = 0 THEN 'ann' ELSE 'bob' END || n || '@example.com',
      ARRAY['often'] || CASE WHEN n % 400 = 0 AND n > 6000 THEN ARRAY['seldom'] ELSE '{}' END,
      CASE WHEN n % 1000 = 5 THEN now() END,
      '2026-01-01T00:00:00Z'::timestamptz + (n / 2) * interval '1 minute'
    FROM generate_series(1, ${USERS}) AS n`);
  // As among a million users, of which too few are sampled to know rare roles: the planner takes them for common ones.
  await database.query('ALTER TABLE users ALTER COLUMN roles SET STATISTICS 1');
  await database.query('ANALYZE users');
});
afterAll(() => database.drop());

const run = <T>(work: Parameters<TestDatabase['database']['run']>[1]) =>
  database.database.run(testCall(), work) as Promise<T>;

/** The ids of all pages. */
async function pagesOf(filter: Partial<UserFilter>, limit: number): Promise<string[]> {
  const ids: string[] = [];
  for (;;) {
    const afterId = ids.at(-1) ?? null;
    const users = await run<readonly { id: string }[]>((db) =>
      listUsers(db, { afterId, limit }, { ...all, ...filter }),
    );
    ids.push(...users.map(({ id }) => id));
    if (users.length < limit) return ids;
  }
}

/** What the filter matches, oldest first, by a statement without pages. */
async function expected(condition: string): Promise<string[]> {
  const rows = await database.query(`SELECT id FROM users WHERE ${condition} ORDER BY created_at, id`);
  return rows.map(({ id }) => String(id));
}

test.each([
  ['a role of many', { role: 'often' }, `roles @> '{often}'`, 1000],
  ['a role of few', { role: 'seldom' }, `roles @> '{seldom}'`, 4],
  ['a role of nobody', { role: 'none' }, 'false', 4],
  ['a prefix of few', { emailPrefix: 'ann1' }, `email LIKE 'ann1%'`, 500],
  ['a prefix of many', { emailPrefix: 'bob' }, `email LIKE 'bob%'`, 1000],
  ['a prefix with a character that LIKE would read', { emailPrefix: 'ann_' }, 'false', 10],
  ['disabled users', { disabled: true }, 'disabled_at IS NOT NULL', 5],
  [
    'all filters',
    { disabled: false, role: 'seldom', emailPrefix: 'ann' },
    `disabled_at IS NULL AND roles @> '{seldom}' AND email LIKE 'ann%'`,
    2,
  ],
])('C31 the pages of %s have every match once, oldest first', async (_, filter, condition, limit) => {
  expect(await pagesOf(filter, limit)).toEqual(await expected(condition));
});

test('C31 every search of users uses an index that serves it, whatever the collation of the database', async () => {
  const definitions = await database.query(
    `SELECT indexdef FROM pg_indexes WHERE tablename = 'users' AND schemaname = current_schema()`,
  );
  const text = definitions.map(({ indexdef }) => String(indexdef)).join('\n');
  expect(text).toContain('USING gin (roles)');
  expect(text).toContain('(email text_pattern_ops)');
  const plan = await database.query(`EXPLAIN SELECT id FROM users WHERE starts_with(email, 'ann11')`);
  expect(plan.map((row) => String(row['QUERY PLAN'])).join('\n')).toContain('users_email_key');
});

/** How many rows of the table a statement reads. */
function rowsRead(work: (trx: Transaction) => Promise<unknown>): Promise<number> {
  return database.database.transaction(testCall(), async (trx) => {
    // Whatever this connection has not yet reported, of earlier transactions too.
    const counted = async () => {
      const { rows } = await trx.raw<{ rows: { read: string }[] }>(
        `SELECT seq_tup_read + idx_tup_fetch AS read FROM pg_stat_xact_user_tables WHERE relname = 'users'`,
      );
      return Number(rows[0]?.read);
    };
    const before = await counted();
    await work(trx);
    return (await counted()) - before;
  });
}

test.each([
  ['a role of few', { role: 'seldom' }, 100],
  ['a role of nobody', { role: 'none' }, 10],
  ['a role of few among those with a common prefix', { role: 'seldom', emailPrefix: 'bob' }, 100],
  ['disabled users', { disabled: true }, 100],
  ['disabled users with a common role', { disabled: true, role: 'often' }, 100],
  ['a prefix of few', { emailPrefix: 'ann119' }, 200],
  ['no filter', {}, 60],
])('C31 a search for %s reads few of the users', async (_, filter, limit) => {
  const read = await rowsRead((trx) => listUsers(trx, { afterId: null, limit: 2 }, { ...all, ...filter }));
  expect(read).toBeLessThanOrEqual(limit);
});

test('to find another holder of a role reads no more than the holders', async () => {
  expect(
    await rowsRead((trx) => lockOthersWithRole(trx, '00000000-0000-4000-8000-000000000000', 'none')),
  ).toBe(0);
});

test('another holder of a role is found among those who are enabled', async () => {
  const [first = ''] = await expected(`roles @> '{seldom}'`);
  const others = () =>
    database.database.transaction(testCall(), (trx) => lockOthersWithRole(trx, first, 'seldom'));
  expect(await others()).toBe(true);
  await database.query(`UPDATE users SET disabled_at = now() WHERE roles @> '{seldom}' AND id <> $1`, [
    first,
  ]);
  expect(await others()).toBe(false);
});
