import { expect, jest, test } from '@jest/globals';

import { Database } from '../../src/database/database.ts';
import { ChangeListener } from '../../src/database/change-listener.ts';
import { type Queryable, PrimaryConnector } from '../../src/database/connection/primary-connector.ts';
import { until } from '../support/wait-for.ts';
import { DatabaseProxy } from '../support/database-proxy.ts';
import { testCall } from '../support/test-call.ts';
import { createTestDatabase } from '../support/test-database.ts';

interface FakeServers extends Queryable {
  readonly name: string;
}

/** Servers by name, with how each answers, and the names in the order of the connection attempts. */
function fakeServers(states: Record<string, 'writes' | 'read-only' | 'refuses' | 'silent'>) {
  const tried: string[] = [];
  const closed: string[] = [];
  const server = new PrimaryConnector(
    Object.keys(states).map((host) => ({ host })) as unknown as [{ host: string }],
  );
  const connect = () =>
    server.connect<FakeServers>(
      async ({ host: name }) => {
        tried.push(name);
        if (states[name] === 'silent') await new Promise(() => undefined);
        if (states[name] === 'refuses')
          throw Object.assign(new Error(`${name} refuses`), { code: 'ECONNREFUSED' });
        const isReadOnly = () => (states[name] === 'read-only' ? 'on' : 'off');
        return { name, query: () => Promise.resolve({ rows: [{ transaction_read_only: isReadOnly() }] }) };
      },
      ({ name }) => closed.push(name),
    );
  return { states, tried, closed, connect, doubt: (connection: FakeServers) => server.doubt(connection) };
}

test('D12 of several servers the primary is used, and tried first from then on', async () => {
  const { states, tried, closed, connect } = fakeServers({
    one: 'read-only',
    two: 'writes',
    three: 'refuses',
  });
  expect((await connect()).name).toBe('two');
  await until(() => closed.length > 0, 'the standby is left');
  expect(closed).toEqual(['one']);
  tried.splice(0);
  expect((await connect()).name).toBe('two');
  expect(tried).toEqual(['two']);
  states['two'] = 'refuses';
  states['one'] = 'writes';
  expect((await connect()).name).toBe('one');
});

test('D12 a server that does not respond delays the others by less than a second', async () => {
  const { connect } = fakeServers({ one: 'silent', two: 'writes' });
  jest.useFakeTimers();
  let used: string | null = null;
  void connect().then(({ name }) => (used = name));
  await jest.advanceTimersByTimeAsync(900);
  jest.useRealTimers();
  expect(used).toBe('two');
});

test('D12 when no server accepts writes, the error has the fault of each', async () => {
  const { closed, connect } = fakeServers({ one: 'read-only', two: 'refuses' });
  await expect(connect()).rejects.toThrow('the server is read-only; two refuses');
  expect(closed).toEqual(['one']);
});

test('R24 a standby that is promoted while the last primary is frozen is used within a fifth of a second', async () => {
  const { states, closed, connect } = fakeServers({ one: 'silent', two: 'read-only', three: 'read-only' });
  jest.useFakeTimers();
  let used: string | null = null;
  void connect().then(({ name }) => (used = name));
  await jest.advanceTimersByTimeAsync(600);
  expect(used).toBeNull();
  states['three'] = 'writes';
  await jest.advanceTimersByTimeAsync(200);
  jest.useRealTimers();
  expect(used).toBe('three');
  expect(closed).toEqual(['two']);
});

test('R24 a primary that left a query unanswered is tried after a server that accepts writes as well', async () => {
  const { states, tried, connect, doubt } = fakeServers({ one: 'writes', two: 'writes' });
  const [first, second] = [await connect(), await connect()];
  expect(first.name).toBe('one');
  doubt(first);
  expect((await connect()).name).toBe('two');
  // Noticed later than the first: it says nothing of the server that is used now.
  doubt(second);
  const third = await connect();
  expect(third.name).toBe('two');
  states['one'] = 'read-only';
  doubt(third);
  expect((await connect()).name).toBe('two');
  tried.splice(0);
  expect((await connect()).name).toBe('two');
  expect(tried).toEqual(['two']);
});

test('D12 the pool and the change listener move to the server that is available', async () => {
  const store = await createTestDatabase();
  const proxies = [new DatabaseProxy(store.url), new DatabaseProxy(store.url)] as const;
  const ports = [await proxies[0].open(), await proxies[1].open()] as const;
  await proxies[0].close();
  const { username, pathname } = new URL(store.url);
  const url = `postgres://${username}@127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}${pathname}`;
  const address = { url };
  const database = new Database({
    address,
    applicationName: 'test',
    maxConnections: 2,
    warn: () => undefined,
  });
  let changes = 0;
  const changeListener = new ChangeListener({
    address,
    applicationName: 'test',
    onChange: () => (changes += 1),
  });
  changeListener.start();
  const isAnswering = async () => {
    const asking = database.run(testCall(), (db) => db.raw('SELECT 1'));
    return asking.then(
      () => true,
      () => false,
    );
  };
  try {
    await until(isAnswering, 'the second server answers');
    await until(() => changes > 0, 'the change listener listens');
    await proxies[1].close();
    await proxies[0].open(ports[0]);
    await until(isAnswering, 'the first server answers');
    const before = changes;
    await until(() => changes > before, 'the change listener reconnected');
    const changesBefore = changes;
    await until(async () => {
      await store.query('NOTIFY postern_trust');
      return changes > changesBefore;
    }, 'the change listener is notified');
  } finally {
    changeListener.stop();
    await database.close();
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await store.drop();
  }
});
