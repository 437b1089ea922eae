import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Knex } from 'knex';

import { testCall } from '../../support/test-call.ts';
import type { Database } from '../../../src/database/database.ts';
import { openOne } from '../../support/open-session.ts';
import { oneConnection } from '../../support/one-connection.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const OTHERS = 3_000;
/** After five custom plans PostgreSQL may switch to a generic one. */
const BEFORE_A_PLAN_IS_KEPT = 6;

let store: TestDatabase;
/** A pool of one connection, because prepared plans belong to a connection. */
let database: Database;
beforeAll(async () => {
  store = await createTestDatabase();
  await store.query('ALTER TABLE sessions SET (autovacuum_enabled = off)');
  database = oneConnection(store);
});
afterAll(async () => {
  await database.close();
  await store.drop();
});

/** Opens a session with a limit of three per user. Returns how many sessions it ended and how many rows it read. */
function open(userId: string) {
  const readBy = async (trx: Knex) => {
    const { rows } = await trx.raw<{ rows: { read: number }[] }>(
      `SELECT (seq_tup_read + idx_tup_fetch)::int AS read FROM pg_stat_xact_user_tables WHERE relname = 'sessions'`,
    );
    return rows[0]?.read ?? Infinity;
  };
  return database.transaction(testCall(), async (trx) => {
    return { ...(await openOne(trx, userId)), read: await readBy(trx) };
  });
}

test('S14 ending the oldest sessions of a user reads no rows of other users, even with a plan made for a small table', async () => {
  const [userId, other] = [randomUUID(), randomUUID()];
  await store.query(
    `INSERT INTO users (id, email) VALUES ($1::uuid, 'a@example.com'), ($2::uuid, 'b@example.com')`,
    [userId, other],
  );
  const opened = [];
  for (let turn = 0; turn < BEFORE_A_PLAN_IS_KEPT; turn += 1) opened.push(await open(userId));
  expect(opened.map(({ ended }) => ended)).toEqual([0, 0, 0, 1, 1, 1]);

  await store.query(
    `INSERT INTO sessions (id, user_id, nonce, audience, created_at, access_expires_at, expires_at)
     SELECT uuidv7(), $1, '\\x00', 'postern', now(), now() + interval '1 minute', now() + interval '1 day'
     FROM generate_series(1, $2::int)`,
    [other, OTHERS],
  );
  const { id, ended, read } = await open(userId);
  expect(ended).toBe(1);
  expect(read).toBeLessThan(50);
  const left = await store.query(
    `SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL ORDER BY created_at DESC`,
    [userId],
  );
  expect(left.map((row) => row['id'])).toEqual([id, opened.at(-1)?.id, opened.at(-2)?.id]);
});
