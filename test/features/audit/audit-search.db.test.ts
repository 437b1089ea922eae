import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { type AuditFilter, auditEventsQuery } from '../../../src/features/audit/audit-queries.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const EVENTS = 20_000;
const anything: AuditFilter = {
  actor: null,
  target: null,
  action: null,
  outcome: null,
  since: null,
  until: null,
};

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
  await store.database.unlimited(async (trx) => {
    await trx.raw(
      `INSERT INTO audit_events (id, action, outcome, actor_type, actor_id, target_type, target_id)
       SELECT (lpad(to_hex(1700000000000 + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
              CASE WHEN i % 2 = 0 THEN 'login' WHEN i % 5000 = 1 THEN 'user.delete' ELSE 'token.refresh' END,
              CASE WHEN i % 40 = 0 THEN 'refused' ELSE 'ok' END, 'user', CASE WHEN i % 4 = 1 THEN 'busy' ELSE 'actor-' || i % 1000 END,
              'session', 'target-' || i
       FROM generate_series(1, ?) i`,
      [EVENTS],
    );
    await trx.raw('ANALYZE audit_events');
  });
}, 60_000);
afterAll(() => store.drop());

interface Plan {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

/** How a page of 50 events is read: the index, and how many rows were looked at. */
async function readingOf(filter: Partial<AuditFilter>): Promise<{ index: string; looked: number }> {
  return store.database.unlimited(async (trx) => {
    const query = auditEventsQuery(trx, { ...anything, ...filter }, { beforeId: null, limit: 51 }).toSQL();
    const { rows } = await trx.raw<{ rows: { 'QUERY PLAN': { Plan: Plan }[] }[] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${query.sql}`,
      query.bindings as string[],
    );
    const nodes: Plan[] = [];
    const visit = (plan: Plan): void => {
      nodes.push(plan);
      plan.Plans?.forEach(visit);
    };
    for (const { Plan } of rows[0]?.['QUERY PLAN'] ?? []) visit(Plan);
    const scan = nodes.find(({ Plans }) => Plans === undefined);
    return {
      index: nodes.map((node) => node['Index Name'] ?? '').join(''),
      looked: (scan?.['Actual Rows'] ?? 0) + (scan?.['Rows Removed by Filter'] ?? 0),
    };
  });
}

test.each<[Partial<AuditFilter>, string]>([
  [{ action: 'user.delete' }, 'audit_events_by_action'],
  [{ action: 'factor.reset' }, 'audit_events_by_action'],
  [{ outcome: 'refused' }, 'audit_events_refused'],
  [{ action: 'token.refresh', outcome: 'refused' }, 'audit_events_refused'],
  [{ actor: 'busy', outcome: 'refused' }, 'audit_events_refused'],
  [{ actor: 'actor-7' }, 'audit_events_by_actor'],
  [{ target: 'target-7' }, 'audit_events_by_target'],
])('C49 a page of the audit trail with %j reads %s, and few rows', async (filter, index) => {
  const reading = await readingOf(filter);
  expect(reading.index).toBe(index);
  expect(reading.looked).toBeLessThan(100);
});

test.each<Partial<AuditFilter>>([{}, { action: 'login' }, { action: 'token.refresh' }, { outcome: 'ok' }])(
  'C49 a page of the audit trail with %j is full after few rows',
  async (filter) => {
    expect((await readingOf(filter)).looked).toBeLessThan(500);
  },
);
