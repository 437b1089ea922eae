import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { budgetOf } from '../../src/domain/call-budget.ts';
import { prepared } from '../../src/store/prepared.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
});
afterAll(() => store.drop());

interface Planned {
  readonly uses: number;
}

test('a prepared statement is parsed once for each connection and used from then on, with other values each time', async () => {
  const answers: unknown[] = [];
  const uses = await store.database.transaction(budgetOf(5_000, Date.now()), async (trx) => {
    for (const value of [1, 2, 3]) {
      const { rows } = await prepared<{ rows: { doubled: number }[] }>(
        trx,
        'doubled',
        'SELECT 2 * ?::int AS doubled',
        [value],
      );
      answers.push(rows[0]?.doubled);
    }
    const { rows } = await trx.raw<{ rows: Planned[] }>(
      `SELECT (generic_plans + custom_plans)::int AS uses FROM pg_prepared_statements WHERE name = 'doubled'`,
    );
    return rows.map((row) => row.uses);
  });
  expect(answers).toEqual([2, 4, 6]);
  expect(uses).toEqual([3]);
});
