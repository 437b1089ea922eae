import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { budgetOf } from '../../src/domain/operation-call.ts';
import type { Rejected } from '../../src/domain/rejection.ts';
import { Database } from '../../src/database/database.ts';
import { TcpProxy } from '../support/tcp-proxy.mjs';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
  await store.query('CREATE TABLE probe (id int PRIMARY KEY, value int NOT NULL DEFAULT 0)');
});
afterAll(() => store.drop());

const budget = (ms = 5_000) => budgetOf(ms, Date.now());
const values = async () =>
  (await store.query('SELECT id, value FROM probe ORDER BY id')).map(({ id, value }) => [id, value]);
const unavailable = { rejection: { kind: 'store-unavailable' } };

test('D05 an error that the callback swallows is thrown at the commit', async () => {
  await store.query('TRUNCATE probe');
  const swallowing = store.database.transaction(budget(), async (trx) => {
    await trx.raw('INSERT INTO probe VALUES (1)');
    await trx.raw('INSERT INTO probe VALUES (1)').then(undefined, () => undefined);
    return 'done';
  });
  await expect(swallowing).rejects.toThrow('rolled back at its commit');
  expect(await values()).toEqual([]);
});

test('D05 O01 an error has the statement and none of its values', async () => {
  const failing = store.database.run(budget(), (db) =>
    db.raw('INSERT INTO probe (id, value) VALUES (1, 1), (?, ?)', ['hunter2-is-no-number', 7]),
  );
  const error = await failing.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown as Error,
  );
  expect(error.message).toContain('INSERT INTO probe');
  expect(error.message.slice(0, error.message.indexOf(' - '))).not.toContain('hunter2');
});

describe('D06 a connection lost at COMMIT', () => {
  test.each([
    ['before the server has it', false],
    ['before its response arrives', true],
  ])(
    '%s is UNAVAILABLE to the caller, and the transaction happened completely or not at all',
    async (_name, isCommitted) => {
      await store.query('TRUNCATE probe');
      const url = new URL(store.url);
      const proxy = new TcpProxy(`${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`);
      const port = await proxy.open();
      const database = new Database({
        address: { url: `postgres://${url.username}@127.0.0.1:${port}${url.pathname}` },
        applicationName: 'test',
        maxConnections: 1,
        warn: () => undefined,
      });
      const losing = database.transaction(budget(), async (trx) => {
        await trx.raw('INSERT INTO probe VALUES (1), (2)');
        // The delay leaves a moment in which the COMMIT is in flight.
        if (!isCommitted) proxy.swallowing = true;
        proxy.delayMs = isCommitted ? 50 : 0;
        setTimeout(() => proxy.cut(), isCommitted ? 75 : 100);
      });
      await expect(losing).rejects.toMatchObject(unavailable);
      expect(await values()).toEqual(
        isCommitted
          ? [
              [1, 0],
              [2, 0],
            ]
          : [],
      );
      await database.close();
      await proxy.close();
    },
  );
});

describe('D07 conflicting transactions', () => {
  test('the victim of a deadlock is retried, and nothing is applied twice', async () => {
    await store.query('TRUNCATE probe; INSERT INTO probe VALUES (1), (2)');
    let attempts = 0;
    let meet: () => void = () => undefined;
    const bothHold = new Promise<void>((resolve) => (meet = resolve));
    let holding = 0;
    const both = [
      [1, 2],
      [2, 1],
    ].map(([first, second]) =>
      store.database.transaction(budget(), async (trx) => {
        attempts += 1;
        await trx.raw(`SET LOCAL deadlock_timeout = '50ms'`);
        await trx.raw('UPDATE probe SET value = value + 1 WHERE id = ?', [first as number]);
        if ((holding += 1) >= 2) meet();
        await bothHold;
        await trx.raw('UPDATE probe SET value = value + 1 WHERE id = ?', [second as number]);
      }),
    );
    await Promise.all(both);
    expect(attempts).toBeGreaterThan(2);
    expect(await values()).toEqual([
      [1, 2],
      [2, 2],
    ]);
  });

  test.each(['transaction', 'run'] as const)(
    'a serialisation failure ends %s after three attempts as a conflict',
    async (way) => {
      let attempts = 0;
      const failing = store.database[way](budget(), async (db) => {
        attempts += 1;
        await db.raw(`DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$`);
      });
      await expect(failing).rejects.toMatchObject({ rejection: { kind: 'conflict' } });
      expect(attempts).toBe(3);
    },
  );
});

test('D08 D01 every connection of the pool has the timeouts, and its commits are synchronous', async () => {
  const settings = await store.database.run(budget(), (db) =>
    db.raw<{ rows: { name: string; setting: string }[] }>(
      `SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout',
         'idle_in_transaction_session_timeout', 'synchronous_commit') ORDER BY name`,
    ),
  );
  expect(Object.fromEntries(settings.rows.map(({ name, setting }) => [name, setting]))).toEqual({
    idle_in_transaction_session_timeout: '5000',
    lock_timeout: '250',
    statement_timeout: '2000',
    synchronous_commit: 'on',
  });
});

test('D08 a call waits at most one second for a connection of an exhausted pool', async () => {
  const startMs = performance.now();
  const slow = Array.from({ length: 5 }, () =>
    store.database.run(budget(), (db) => db.raw('SELECT pg_sleep(1.3)')),
  );
  const late = store.database.run(budget(), (db) => db.raw('SELECT 1'));
  await expect(late).rejects.toMatchObject(unavailable);
  expect(performance.now() - startMs).toBeLessThan(1_250);
  await Promise.all(slow);
});

test('D08 calls that wait too long behind others get server-overloaded, not store-unavailable', async () => {
  const ends = await Promise.allSettled(
    Array.from({ length: 30 }, () =>
      store.database.run(budget(), (db) => db.raw('SELECT pg_sleep(0.4) AS slept')),
    ),
  );
  const kinds = ends.map((end) =>
    end.status === 'fulfilled' ? 'served' : (end.reason as Rejected).rejection.kind,
  );
  expect(new Set(kinds)).toEqual(new Set(['served', 'server-overloaded']));
  expect(kinds.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 'served'));
});

test('D08 a cancelled call does not take the place of a waiting one', async () => {
  await store.query('TRUNCATE probe');
  const slow = Array.from({ length: 5 }, () =>
    store.database.run(budget(), (db) => db.raw('SELECT pg_sleep(0.3)')),
  );
  const leaving = new AbortController();
  const gone = Array.from({ length: 20 }, (_, id) =>
    store.database.run({ ...budget(), signal: leaving.signal }, (db) =>
      db.raw('INSERT INTO probe VALUES (?)', [id]),
    ),
  );
  const staying = store.database.run(budget(), (db) => db.raw('SELECT 1'));
  leaving.abort();
  for (const call of gone) await expect(call).rejects.toMatchObject({ rejection: { kind: 'cancelled' } });
  await Promise.all([...slow, staying]);
  expect(await values()).toEqual([]);
  expect(store.database.connections).toMatchObject({ used: 0, waiting: 0 });
});

test('D09 all statements of a call share one deadline, whatever their own timeouts are', async () => {
  const call = { ...budget(), storeDeadlineMs: Date.now() + 700 };
  const startMs = performance.now();
  await store.database.run(call, (db) => db.raw('SELECT pg_sleep(0.5)'));
  await expect(store.database.run(call, (db) => db.raw('SELECT pg_sleep(0.5)'))).rejects.toMatchObject(
    unavailable,
  );
  expect(performance.now() - startMs).toBeLessThan(900);
  await expect(store.database.run(call, (db) => db.raw('SELECT 1'))).rejects.toMatchObject({
    rejection: { kind: 'server-overloaded' },
  });
});

test('D09 a call hears that the database does not answer before its deadline passes, which has no reason', async () => {
  const call = budget(800);
  const passed = new Promise((resolve) => setTimeout(resolve, 800, 'deadline'));
  const asking = store.database.run(call, (db) => db.raw('SELECT pg_sleep(1.2)'));
  await expect(Promise.race([asking, passed])).rejects.toMatchObject(unavailable);
});

test('D12 a connection whose server is read-only is not used again, nor is any older one', async () => {
  const { database } = store;
  const readOnly = (on: boolean) =>
    database.run(budget(), (db) => db.raw(`SET default_transaction_read_only = ${on ? 'on' : 'off'}`));
  const backends = async () => {
    const found = Array.from({ length: 3 }, () =>
      database.run(budget(), (db) =>
        db.raw<{ rows: { pid: number }[] }>('SELECT pg_backend_pid() AS pid, pg_sleep(0.1)'),
      ),
    );
    return (await Promise.all(found)).map(({ rows }) => rows[0]?.pid);
  };
  const before = await backends();
  await readOnly(true);
  let refused = 0;
  for (let count = 0; count < 6; count += 1) {
    const writing = database.run(budget(), (db) => db.raw('UPDATE probe SET value = 0'));
    refused += await writing.then(
      () => 0,
      () => 1,
    );
  }
  expect(refused).toBe(1);
  const after = await backends();
  expect(after.filter((pid) => before.includes(pid))).toEqual([]);
});

test('D19 caller input is never part of the text of a statement', async () => {
  const hostile = `'; DROP TABLE probe; --`;
  const echoed = await store.database.run(budget(), (db) =>
    db.raw<{ rows: { text: string }[] }>('SELECT ?::text AS text', [hostile]),
  );
  expect(echoed.rows[0]?.text).toBe(hostile);
  expect(await store.query(`SELECT to_regclass('probe') IS NOT NULL AS there`)).toEqual([{ there: true }]);
});
