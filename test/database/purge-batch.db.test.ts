import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { purgeBatch } from '../../src/database/purge-batch.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
  await store.query('CREATE TABLE things (id int, expires_at timestamptz)');
});
afterAll(() => store.drop());

const purge = (keptSeconds: number, limit: number) =>
  store.database.unlimited((db) => purgeBatch(db, { table: 'things', keptSeconds }, limit));

test('deletes rows that expired long enough ago, a batch at a time', async () => {
  await store.query(
    `INSERT INTO things SELECT id, now() - make_interval(mins => id) FROM generate_series(-2, 7) AS id`,
  );
  expect(await purge(270, 2)).toBe(2);
  expect(await purge(270, 2)).toBe(1);
  expect(await purge(270, 2)).toBe(0);
  expect((await store.query('SELECT id FROM things ORDER BY id')).map(({ id }) => id as number)).toEqual([
    -2, -1, 0, 1, 2, 3, 4,
  ]);
  expect(await purge(0, 100)).toBe(5);
});

test('skips a locked row without waiting for it', async () => {
  await store.query(
    `TRUNCATE things; INSERT INTO things SELECT id, now() - interval '1 hour' FROM generate_series(1, 3) AS id`,
  );
  await store.database.unlimited(async (db) => {
    const holding = await db.transaction();
    await holding.raw('SELECT * FROM things WHERE id = 2 FOR UPDATE');
    expect(await purge(0, 100)).toBe(2);
    await holding.rollback();
  });
  expect(await purge(0, 100)).toBe(1);
});
