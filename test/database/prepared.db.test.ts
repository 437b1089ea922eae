import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Knex } from 'knex';

import { testCall } from '../support/test-call.ts';
import type { Email } from '../../src/features/users/email.ts';
import { LOGIN_THROTTLE_POLICY } from '../../src/features/authentication/throttle/throttle-policy.ts';
import { insertAuditEvent } from '../../src/features/audit/audit-queries.ts';
import type { Database } from '../../src/database/database.ts';
import { beginLogin } from '../../src/features/authentication/throttle/throttle-queries.ts';
import { prepared } from '../../src/database/prepared.ts';
import { rotateSession, rotateSessions } from '../../src/features/sessions/rotation-queries.ts';
import { findSession } from '../../src/features/sessions/session-queries.ts';
import { openOne } from '../support/open-session.ts';
import { oneConnection } from '../support/one-connection.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let store: TestDatabase;
/** A pool of one connection, which every statement runs on. */
let database: Database;
beforeAll(async () => {
  store = await createTestDatabase();
  database = oneConnection(store);
});
afterAll(async () => {
  await database.close();
  await store.drop();
});

const budget = () => testCall();

/** How often each prepared statement of this connection was used. */
async function usesOf(db: Knex): Promise<Record<string, number>> {
  const { rows } = await db.raw<{ rows: { name: string; uses: number }[] }>(
    'SELECT name, (generic_plans + custom_plans)::int AS uses FROM pg_prepared_statements',
  );
  return Object.fromEntries(rows.map(({ name, uses }) => [name, uses]));
}

async function double(db: Knex, value: number): Promise<number | undefined> {
  const sql = 'SELECT 2 * ?::int AS doubled';
  const { rows } = await prepared<{ rows: { doubled: number }[] }>(db, 'doubled', sql, [value]);
  return rows[0]?.doubled;
}

test('the statements of logins and refreshes are parsed once per connection', async () => {
  const [user] = await store.query(
    `INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'a@example.com') RETURNING id`,
  );
  const userId = String(user?.['id']);
  const actor = { type: 'user', id: userId } as const;
  const audit = {
    event: { action: 'token.refresh', outcome: 'ok', actor } as const,
    origin: testCall().origin,
  };
  const policy = {
    idleSeconds: 60,
    accessTokenSeconds: 60,
    audiences: ['postern'],
    auditRefreshes: 'all' as const,
  };
  const { origin } = testCall();
  const rotation = { sessionId: randomUUID(), nonce: randomBytes(16), to: 2, origin };
  for (let round = 0; round < 3; round += 1) {
    expect(await database.query(budget(), rotateSession(rotation, policy))).toEqual([]);
    expect(await database.query(budget(), rotateSessions([rotation], policy))).toEqual([]);
  }
  const uses = await database.transaction(budget(), async (trx) => {
    for (let round = 0; round < 3; round += 1) {
      const { id, ended } = await openOne(trx, userId, { maxSessions: 2 });
      expect(ended).toBe(round < 2 ? 0 : 1);
      expect((await findSession(trx, id))?.userId).toBe(userId);
      await insertAuditEvent(trx, audit);
    }
    const keys = { pair: randomBytes(32), account: randomBytes(32), email: 'a@example.com' as Email };
    for (let round = 0; round < 3; round += 1) {
      const begun = await beginLogin(trx, keys, LOGIN_THROTTLE_POLICY);
      expect(begun).toMatchObject({ admitted: true, user: { id: userId } });
    }
    return usesOf(trx);
  });
  expect(uses).toEqual({
    'begin-login': 3,
    'open-session': 3,
    'find-session': 3,
    'refresh-session': 3,
    'refresh-sessions': 3,
    'insert-audit-event': 3,
  });
});

test('each name belongs to one statement', () => {
  const folder = fileURLToPath(new URL('../../src', import.meta.url));
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('-queries.ts'))
    .flatMap((file) => {
      const source = readFileSync(join(folder, file), 'utf8');
      return [...source.matchAll(/(?:prepared(?:<[^(]*>)?\(\s*\w+,\s*|\bname: )'([\w-]+)'/g)].map(
        ([, name]) => name,
      );
    });
  expect(names).toEqual(expect.arrayContaining(['refresh-sessions', 'insert-audit-event']));
  expect(names.length).toBeGreaterThanOrEqual(6);
  expect(new Set(names).size).toBe(names.length);
});

test('a statement that the server has lost is prepared again, outside and inside a transaction', async () => {
  expect(await database.run(budget(), (db) => double(db, 1))).toBe(2);
  // A pooler does this between two clients.
  await database.run(budget(), (db) => db.raw('DEALLOCATE ALL'));
  expect(await database.run(budget(), (db) => double(db, 2))).toBe(4);

  let attempts = 0;
  const doubled = await database.transaction(budget(), async (trx) => {
    attempts += 1;
    if (attempts === 1) await trx.raw('DEALLOCATE ALL');
    return double(trx, 3);
  });
  expect([doubled, attempts]).toEqual([6, 2]);
});

test('a statement whose table has changed is prepared again', async () => {
  await store.query('CREATE TABLE grown (id int); INSERT INTO grown VALUES (7)');
  const read = (db: Knex) =>
    prepared<{ rows: object[] }>(db, 'read-grown', 'SELECT * FROM grown WHERE id = ?', [7]);
  await database.run(budget(), read);
  await store.query(`ALTER TABLE grown ADD COLUMN more text DEFAULT 'm'`);
  expect((await database.run(budget(), read)).rows).toEqual([{ id: 7, more: 'm' }]);
});
