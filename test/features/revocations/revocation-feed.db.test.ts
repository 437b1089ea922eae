import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { DatabaseClock } from '../../../src/domain/database-clock.ts';
import { testCall } from '../../support/test-call.ts';
import { RevocationFeed } from '../../../src/features/revocations/revocation-feed.ts';
import { TrustBundle } from '../../../src/trust/trust-bundle.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
});
afterAll(() => store.drop());

/** Writes as a server that reuses a transaction number which the feed has already passed. */
async function revokeAtOldNumber(): Promise<string> {
  const id = randomUUID();
  await store.query(
    `INSERT INTO revocations (kind, id, expires_at, written_by) VALUES ('sid', $1, now() + interval '1 hour', '3')`,
    [id],
  );
  return id;
}

function listenTo(trust: TrustBundle): string[] {
  const announced: string[] = [];
  trust.subscribe((change) => {
    if (change.kind === 'revocations') announced.push(...change.revocations.map(({ id }) => id));
  });
  return announced;
}

test('S13 after a crash of the server the feed reads from the beginning, since transaction numbers are reused', async () => {
  const trust = new TrustBundle();
  const feed = new RevocationFeed(store.database, trust, new DatabaseClock());
  const first = await revokeAtOldNumber();
  await feed.refresh();
  const cursor = trust.cursor ?? 0n;
  const announced = listenTo(trust);
  const second = await revokeAtOldNumber();
  await feed.refresh();
  expect(announced).toEqual([]);
  // The effect of a crash: the statistics are reset, and the numbers go back.
  await store.query(`SELECT pg_stat_reset_shared('bgwriter')`);
  await feed.refresh();
  expect(announced).toEqual([second]);
  expect([...trust.revocations()].map(({ id }) => id)).toEqual(expect.arrayContaining([first, second]));
  expect(trust.missedSince(cursor)).toBeNull();
});

test('D12 after a server has become read-only the next refresh uses a new connection', async () => {
  const feed = new RevocationFeed(store.database, new TrustBundle(), new DatabaseClock());
  const backend = async () => {
    const { rows } = await store.database.run(testCall(), (db) =>
      db.raw<{ rows: { pid: number }[] }>('SELECT pg_backend_pid() AS pid'),
    );
    return rows[0]?.pid;
  };
  const before = await backend();
  await feed.refresh();
  expect(await backend()).toBe(before);
  await store.database.run(testCall(), (db) => db.raw('SET default_transaction_read_only = on'));
  await feed.refresh();
  expect(await backend()).not.toBe(before);
});
