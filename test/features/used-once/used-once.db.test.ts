import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { purgeUsedOnce, type UsedOnce, useOnce } from '../../../src/features/used-once/used-once-queries.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** A challenge that has expired so long ago, by the database's clock. */
async function expiredFor(seconds: number): Promise<UsedOnce> {
  const [row] = await database.query('SELECT extract(epoch FROM now())::float8 AS now');
  return {
    purpose: 'passkey-challenge',
    digest: randomBytes(32),
    expiresAtSeconds: Number(row?.['now']) - seconds,
  };
}
const use = (used: UsedOnce) => database.database.unlimited((db) => useOnce(db, used));

test.each([-300, -1, 0, 60, 110])('S16 accepts once what expired %d seconds ago', async (seconds) => {
  const used = await expiredFor(seconds);
  expect(await use(used)).toBe(true);
  await database.database.unlimited((db) => purgeUsedOnce(db, 1_000));
  expect(await use(used)).toBe(false);
});

test.each([121, 179, 181, 3_600])(
  'S16 accepts nothing that expired %d seconds ago: an instance whose clock is behind would accept it again after the purge',
  async (seconds) => {
    const used = await expiredFor(seconds);
    expect(await use(used)).toBe(false);
    await database.database.unlimited((db) => purgeUsedOnce(db, 1_000));
    expect(await use(used)).toBe(false);
  },
);
