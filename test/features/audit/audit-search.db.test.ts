import { afterAll, beforeAll, expect, test } from '@jest/globals';

import {
  type AuditFilter,
  auditEventsQuery,
  listAuditEvents,
  maintainAuditPartitions,
} from '../../../src/features/audit/audit-queries.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const EVENTS = 20_000;
const DAY_MS = 86_400_000;
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
    expect(await maintainAuditPartitions(trx)).toBe(2);
    // A hundred days of events, in three partitions.
    await trx.raw(
      `INSERT INTO audit_events (id, at, action, outcome, actor_type, actor_id, target_type, target_id)
       SELECT (left(postern_lowest_id(time)::text, 14) || '7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, time,
              CASE WHEN i % 2 = 0 THEN 'login' WHEN i % 5000 = 1 THEN 'user.delete' ELSE 'token.refresh' END,
              CASE WHEN i % 40 = 0 THEN 'refused' ELSE 'ok' END, 'user', CASE WHEN i % 4 = 1 THEN 'busy' ELSE 'actor-' || i % 1000 END,
              'session', 'target-' || i
       FROM generate_series(1, ?) i, LATERAL (SELECT now() - interval '20 days' + i * interval '6 minutes') AS t (time)`,
      [EVENTS],
    );
    await trx.raw('ANALYZE audit_events');
  });
}, 60_000);
afterAll(() => store.drop());

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Loops': number;
  readonly 'Actual Rows': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

interface Reading {
  readonly indexes: string[];
  readonly partitions: (string | undefined)[];
  readonly looked: number;
}

/** How a page of 50 events is read: the indexes, the partitions, and how many rows were looked at. */
async function readingOf(filter: Partial<AuditFilter>): Promise<Reading> {
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
    const scans = nodes.filter(({ Plans, 'Actual Loops': loops }) => Plans === undefined && loops > 0);
    return {
      // Without the name of the partition.
      indexes: [
        ...new Set(
          nodes.flatMap((node) => node['Index Name']?.replace(/_(first|default|\d+_\d+)_/, '_') ?? []),
        ),
      ],
      partitions: scans.map((scan) => scan['Relation Name']),
      looked: scans.reduce(
        (sum, scan) => sum + scan['Actual Rows'] + (scan['Rows Removed by Filter'] ?? 0),
        0,
      ),
    };
  });
}

test.each<[Partial<AuditFilter>, string]>([
  [{ action: 'user.delete' }, 'audit_events_action_id_idx'],
  [{ action: 'factor.reset' }, 'audit_events_action_id_idx'],
  [{ outcome: 'refused' }, 'audit_events_id_actor_id_action_idx'],
  [{ action: 'token.refresh', outcome: 'refused' }, 'audit_events_id_actor_id_action_idx'],
  [{ actor: 'busy', outcome: 'refused' }, 'audit_events_id_actor_id_action_idx'],
  [{ actor: 'actor-7' }, 'audit_events_actor_id_id_idx'],
  [{ target: 'target-7' }, 'audit_events_target_id_id_idx'],
])('C49 a page of the audit trail with %j reads %s, and few rows', async (filter, index) => {
  const reading = await readingOf(filter);
  expect(reading.indexes).toEqual([index]);
  expect(reading.looked).toBeLessThan(100);
});

test.each<Partial<AuditFilter>>([{}, { action: 'login' }, { action: 'token.refresh' }, { outcome: 'ok' }])(
  'C49 a page of the audit trail with %j is full after few rows',
  async (filter) => {
    expect((await readingOf(filter)).looked).toBeLessThan(500);
  },
);

test('R28 a time range reads only the partitions of its months', async () => {
  const from = (days: number) => new Date(Date.now() + days * DAY_MS);
  const { partitions } = await readingOf({ since: from(-3), until: from(-2) });
  expect(partitions).toEqual(['audit_events_first']);
  // At least two months later, whatever the day.
  const later = (await readingOf({ since: from(62.1), until: from(62.6) })).partitions;
  expect(later).not.toEqual([]);
  expect(later.filter((name) => !/^audit_events_\d{4}_\d{2}$/.test(name ?? ''))).toEqual([]);
});

test('R28 pages go through the partitions in the order of the ids', async () => {
  const ids = (await store.query('SELECT id FROM audit_events ORDER BY id DESC')).map(({ id }) => id);
  const listed: string[] = [];
  for (;;) {
    const page = { beforeId: listed.at(-1) ?? null, limit: 3_000 };
    const events = await store.database.unlimited((trx) => listAuditEvents(trx, anything, page));
    if (events.length === 0) break;
    listed.push(...events.map(({ id }) => id));
  }
  expect(listed).toEqual(ids);
  expect(listed).toHaveLength(EVENTS);
});

test('R28 an event whose time no message can hold is listed with the others', async () => {
  for (const [i, at] of ['infinity', '290000-01-01', '-infinity', '4000-01-01 BC'].entries())
    await store.query(
      `INSERT INTO audit_events (id, at, action, outcome, actor_type) VALUES ($1, $2, 'forged', 'ok', 'user')`,
      [`ffffffff-ffff-7fff-bfff-fffffffffff${i}`, at],
    );
  const events = await store.database.unlimited((trx) =>
    listAuditEvents(trx, anything, { beforeId: null, limit: 5 }),
  );
  expect(events.map(({ at }) => at.toISOString().slice(0, 4))).toEqual([
    '0001',
    '0001',
    '9999',
    '9999',
    expect.stringMatching(/^20/),
  ]);
});
