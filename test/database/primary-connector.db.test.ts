import { expect, jest, test } from '@jest/globals';

import { Database } from '../../src/database/database.ts';
import { ChangeListener } from '../../src/database/change-listener.ts';
import { type Queryable, PrimaryConnector } from '../../src/database/primary-connector.ts';
import { until } from '../support/wait-for.ts';
import { DatabaseProxy } from '../support/database-proxy.ts';
import { testCall } from '../support/test-call.ts';
import { createTestDatabase } from '../support/test-database.ts';

interface Pretended extends Queryable {
  readonly name: string;
}

/** Servers by their names: what they answer, and whom anybody asked. */
function pretend(states: Record<string, 'writes' | 'read-only' | 'refuses' | 'silent'>) {
  const asked: string[] = [];
  const closed: string[] = [];
  const server = new PrimaryConnector(
    Object.keys(states).map((host) => ({ host })) as unknown as [{ host: string }],
  );
  const connect = () =>
    server.connect<Pretended>(
      async ({ host: name = '' }) => {
        asked.push(name);
        if (states[name] === 'silent') await new Promise(() => undefined);
        if (states[name] === 'refuses')
          throw Object.assign(new Error(`${name} refuses`), { code: 'ECONNREFUSED' });
        const isReadOnly = states[name] === 'read-only' ? 'on' : 'off';
        return { name, query: () => Promise.resolve({ rows: [{ transaction_read_only: isReadOnly }] }) };
      },
      ({ name }) => closed.push(name),
    );
  return { states, asked, closed, connect };
}

test('D12 of several servers the one that writes is used, and asked first from then on', async () => {
  const { states, asked, closed, connect } = pretend({ one: 'read-only', two: 'writes', three: 'refuses' });
  expect((await connect()).name).toBe('two');
  expect(closed).toEqual(['one']);
  asked.splice(0);
  expect((await connect()).name).toBe('two');
  expect(asked).toEqual(['two']);
  states['two'] = 'refuses';
  states['one'] = 'writes';
  expect((await connect()).name).toBe('one');
});

test('D12 a server that is silent delays the others by a moment', async () => {
  const { connect } = pretend({ one: 'silent', two: 'writes' });
  jest.useFakeTimers();
  let used: string | null = null;
  void connect().then(({ name }) => (used = name));
  await jest.advanceTimersByTimeAsync(900);
  jest.useRealTimers();
  expect(used).toBe('two');
});

test('D12 when none writes, every fault is told', async () => {
  const { closed, connect } = pretend({ one: 'read-only', two: 'refuses' });
  await expect(connect()).rejects.toThrow(/write.*; two refuses/);
  expect(closed).toEqual(['one']);
});

test('D12 the pool and the alarm move to the server that is there', async () => {
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
  let rings = 0;
  const alarm = new ChangeListener({ address, applicationName: 'test', onChange: () => (rings += 1) });
  alarm.start();
  const answers = async () => {
    const asking = database.run(testCall(), (db) => db.raw('SELECT 1'));
    return asking.then(
      () => true,
      () => false,
    );
  };
  try {
    await until(answers, 'the second server answers');
    await until(() => rings > 0, 'the alarm listens');
    const before = rings;
    await proxies[1].close();
    await proxies[0].open(ports[0]);
    await until(answers, 'the first server answers');
    await until(() => rings > before, 'the alarm was renewed');
    const heard = rings;
    await until(async () => {
      await store.query('NOTIFY postern_trust');
      return rings > heard;
    }, 'the alarm rings');
  } finally {
    alarm.stop();
    await database.close();
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await store.drop();
  }
});
