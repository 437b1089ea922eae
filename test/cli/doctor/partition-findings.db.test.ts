import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { isCovered, partitionFindings, rangesOutside } from '../../../src/cli/doctor/partition-findings.ts';
import { lowestEventId, maintainAuditPartitions } from '../../../src/features/audit/audit-queries.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
});
afterAll(() => store.drop());

const messages = async () => (await partitionFindings(store.database, 5_000)).map(({ message }) => message);

test('R29 doctor says nothing of the partitions after a migration, and when the service has made some', async () => {
  expect(await messages()).toEqual([]);
  await store.database.unlimited(maintainAuditPartitions);
  expect(await messages()).toEqual([]);
});

test('R29 doctor warns of events in the default partition, and of a next month without a partition', async () => {
  const insert = `INSERT INTO audit_events (id, action, outcome, actor_type) VALUES ($1, 'login', 'ok', 'user')`;
  await store.query(insert, [lowestEventId(Date.now() + 3_650 * 86_400_000)]);
  expect(await messages()).toEqual([expect.stringContaining('audit_events_default')]);
  const partitions = await store.query(
    'SELECT partition::text AS name FROM postern_audit_partitions() WHERE to_id IS NOT NULL',
  );
  await store.query(`DROP TABLE ${partitions.map(({ name }) => String(name)).join(', ')}`);
  expect(await messages()).toEqual([
    expect.stringContaining('no partition for the next month'),
    expect.stringContaining('audit_events_default'),
  ]);
});

test('R29 what no partition is for', () => {
  const part = (fromId: string | null, toId: string) => ({ fromId, toId });
  expect(rangesOutside([part(null, 'b'), part('b', 'c')])).toEqual([{ fromId: 'c', toId: null }]);
  expect(rangesOutside([part('b', 'c'), part('d', 'e')])).toEqual([
    { fromId: null, toId: 'b' },
    { fromId: 'c', toId: 'd' },
    { fromId: 'e', toId: null },
  ]);
  expect(rangesOutside([])).toEqual([{ fromId: null, toId: null }]);
  expect(['a', 'b', 'c'].map((id) => isCovered([part(null, 'b'), part('c', 'd')], id))).toEqual([
    true,
    false,
    true,
  ]);
});
