import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';

import type { AuditRecord } from '../../../src/features/audit/audit-queries.ts';
import { AuditWriter } from '../../../src/features/audit/audit-writer.ts';
import { type CallBudget, ownOrigin } from '../../../src/domain/operation-call.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
});
afterAll(() => store.drop());

/** How many statements ran at the same time, at most. */
let maxStatements: number;
let statements: number;
beforeEach(() => {
  jest.restoreAllMocks();
  [maxStatements, statements] = [0, 0];
  const { database } = store;
  const run = database.run.bind(database);
  let running = 0;
  jest.spyOn(database, 'run').mockImplementation(async <T>(...use: Parameters<typeof run<T>>) => {
    statements += 1;
    maxStatements = Math.max(maxStatements, (running += 1));
    return run<T>(...use).finally(() => (running -= 1));
  });
});

const recordOf = (requestId: string, address: string | null = '2001:db8::1'): AuditRecord => ({
  event: {
    action: 'token.refresh',
    outcome: 'refused',
    reason: 'REFRESH_TOKEN_INVALID',
    actor: { type: 'anonymous', id: null },
    details: { cause: 'a "quoted", cause \\ null' },
  },
  origin: { ...ownOrigin, requestId, address, userAgent: 'agent' },
});

const countOf = async (requestPrefix: string) =>
  (
    await store.query('SELECT count(*)::int FROM audit_events WHERE request_id LIKE $1', [
      `${requestPrefix}%`,
    ])
  )[0]?.['count'];

test('S09 a burst of events takes one connection and few statements, and none is lost', async () => {
  const writer = new AuditWriter(store.database);
  await Promise.all(
    Array.from({ length: 300 }, (_, index) => writer.write(testCall(), recordOf(`burst-${index}`))),
  );
  expect(maxStatements).toBe(1);
  expect(statements).toBe(6);
  expect(await countOf('burst-')).toBe(300);
  const rows = await store.query(
    `SELECT action, outcome, reason, actor_type, actor_id, target_type, host(client_address) AS address, user_agent, details
     FROM audit_events WHERE request_id = 'burst-299'`,
  );
  expect(rows).toEqual([
    {
      action: 'token.refresh',
      outcome: 'refused',
      reason: 'REFRESH_TOKEN_INVALID',
      actor_type: 'anonymous',
      actor_id: null,
      target_type: null,
      address: '2001:db8::1',
      user_agent: 'agent',
      details: { cause: 'a "quoted", cause \\ null' },
    },
  ]);
});

test('an event that cannot be written does not fail the others of its statement', async () => {
  const writer = new AuditWriter(store.database);
  const written = await Promise.allSettled([
    writer.write(testCall(), recordOf('mixed-0')),
    writer.write(testCall(), recordOf('mixed-1', 'no address')),
    writer.write(testCall(), recordOf('mixed-2')),
  ]);
  expect(written.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(await countOf('mixed-')).toBe(2);
  await writer.write(testCall(), recordOf('after'));
  expect(await countOf('after')).toBe(1);
});

test('an event whose caller has given up while it waited is not written', async () => {
  const writer = new AuditWriter(store.database);
  const left = new AbortController();
  const leaving: CallBudget = { ...testCall(), signal: left.signal };
  const first = writer.write(testCall(), recordOf('left-0'));
  const second = writer.write(leaving, recordOf('left-1'));
  left.abort();
  await expect(second).rejects.toMatchObject({ rejection: { kind: 'cancelled' } });
  await first;
  await writer.write(testCall(), recordOf('left-2'));
  expect(await countOf('left-')).toBe(2);
});
