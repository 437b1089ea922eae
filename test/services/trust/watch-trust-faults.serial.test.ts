import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { insertRevocation } from '../../../src/features/revocations/revocation-queries.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';
import { TrustWatch } from '../../support/trust-watch.ts';
import { watcherMetadata } from '../../support/watcher-metadata.ts';

const inAnHour = Math.floor(Date.now() / 1000) + 3_600;
let store: TestDatabase;
let services: TestService[] = [];
let watches: TrustWatch[] = [];
let metadata: Metadata | null = null;
beforeEach(async () => {
  store = await createTestDatabase();
  metadata = null;
});
afterEach(async () => {
  await Promise.all(watches.map((watch) => watch.close()));
  await Promise.all(services.map((service) => service.stop()));
  services = [];
  watches = [];
  await store.drop();
});

async function start(environment: Record<string, string> = {}): Promise<TestService> {
  const service = await startTestService(environment, store);
  services.push(service);
  if (!environment['DATABASE_URL']?.includes('nobody')) metadata ??= await watcherMetadata(service, store);
  return service;
}

function watchOn(address: string, cursor = ''): TrustWatch {
  const watch = new TrustWatch(address, cursor, { metadata: metadata ?? anyToken() });
  watches.push(watch);
  return watch;
}

function anyToken(): Metadata {
  const shown = new Metadata();
  shown.set('authorization', 'Bearer a.b.c');
  return shown;
}

/** Forwards bytes both ways until it is cut. */
class Forwarder {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: () => Socket) {
    this.#server = createServer((from) => {
      const to = target();
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => undefined);
        one.on('data', (data) => other.write(data));
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
  }

  async open(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return (this.#server.address() as { port: number }).port;
  }

  /** Sent data is not read, as with a stalled reader. */
  pause(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  resume(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }
}

test('S13 a watcher that is repeatedly cut off and reconnects to either instance misses nothing', async () => {
  const addresses = [(await start()).grpcAddress, (await start()).grpcAddress];
  const forwarders = addresses.map((address) => {
    const [host = '', port = ''] = address.split(':');
    return new Forwarder(() => connect(Number(port), host));
  });
  const proxies = await Promise.all(
    forwarders.map(async (forwarder) => `127.0.0.1:${await forwarder.open()}`),
  );
  const committed: string[] = [];
  let isWriting = true;
  // Transactions of different lengths, so that later ones commit before earlier ones.
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    while (isWriting) {
      const ids = Array.from({ length: 1 + Math.floor(Math.random() * 3) }, () => randomUUID());
      await store.database.unlimited(async (trx) => {
        for (const id of ids) await insertRevocation(trx, { kind: 'sid', id, expiresAtSeconds: inAnHour });
        await trx.raw('SELECT pg_sleep(?)', [(Math.random() * (writer + 1)) / 40]);
      });
      committed.push(...ids.map((id) => `sid ${id}`));
    }
  });

  const learned = new Set<string>();
  let cursor = '';
  let snapshots = 0;
  for (let round = 0; round < 40; round++) {
    const at = round % 2;
    const watch = watchOn(proxies[at] ?? '', cursor);
    const enough = Math.floor(Math.random() * 8);
    await watch.until(() => watch.updates.length > enough);
    if (Math.random() < 0.5) forwarders[at]?.cut();
    await watch.close();
    cursor = watch.cursor;
    for (const name of watch.revoked) learned.add(name);
    if (watch.updates.some(({ revocations }) => revocations?.snapshot)) snapshots += 1;
  }
  isWriting = false;
  await Promise.all(writers);
  const last = watchOn(proxies[0] ?? '', cursor);
  const missing = () => committed.filter((name) => !learned.has(name) && !last.revoked.has(name));
  await last.until(() => missing().length === 0);
  expect(committed.length).toBeGreaterThan(100);
  // Most reconnections resumed from their cursor: otherwise this would prove nothing about cursors.
  expect(snapshots).toBeLessThan(30);
  await Promise.all(watches.map((watch) => watch.close()));
  await Promise.all(forwarders.map((forwarder) => forwarder.close()));
}, 60_000);

test('the stream of a stalled reader is closed, and the others continue', async () => {
  const { grpcAddress } = await start();
  const [host = '', port = ''] = grpcAddress.split(':');
  const forwarder = new Forwarder(() => connect(Number(port), host));
  const slow = watchOn(`127.0.0.1:${await forwarder.open()}`);
  const good = watchOn(grpcAddress);
  await Promise.all([slow.complete(), good.complete()]);
  forwarder.pause();
  // The first is being sent, the next two exceed what may wait, and the fourth finds that.
  for (let round = 0; round < 4; round++) {
    const rows = await store.query(
      `INSERT INTO revocations (kind, id, expires_at)
       SELECT 'sid', gen_random_uuid()::text, now() + interval '1 hour' FROM generate_series(1, 20000) RETURNING id`,
    );
    await good.until(() => rows.every(({ id }) => good.revoked.has(`sid ${String(id)}`)));
  }
  forwarder.resume();
  const { code, reason, message } = await slow.end;
  expect([code, reason]).toEqual([status.RESOURCE_EXHAUSTED, 'READER_TOO_SLOW']);
  expect(message).toContain('reconnect');
  await forwarder.close();
  const resumed = watchOn(grpcAddress, slow.cursor);
  await resumed.until(() =>
    [...good.revoked].every((name) => resumed.revoked.has(name) || slow.revoked.has(name)),
  );
}, 60_000);

test('D03 news_age_ms grows while the database is unreachable, and shrinks when it is back', async () => {
  const url = new URL(store.url);
  const forwarder = new Forwarder(() =>
    connect(`${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`),
  );
  const port = await forwarder.open();
  const { grpcAddress } = await start({
    DATABASE_URL: `postgres://${url.username}@127.0.0.1:${port}${url.pathname}`,
  });
  const watch = watchOn(grpcAddress);
  await watch.until(() => watch.heartbeats.length > 0);
  await forwarder.close();
  const age = () => watch.heartbeats.at(-1)?.news_age_ms ?? 0;
  await watch.until(() => age() > 2_500);
  const reopened = new Forwarder(() => connect(`${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`));
  await reopened.open(port);
  await watch.until(() => age() < 1_500);
  await Promise.all(services.splice(0).map((service) => service.stop()));
  await reopened.close();
}, 40_000);

test('D04 a watcher of a process that has loaded nothing is refused after a second', async () => {
  const { grpcAddress } = await start({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' });
  const startMs = performance.now();
  const { code, reason } = await watchOn(grpcAddress).end;
  expect([code, reason]).toEqual([status.UNAVAILABLE, 'TRUST_STALE']);
  expect(performance.now() - startMs).toBeGreaterThan(900);
});

test('fifty watchers of one process are brought up to date concurrently', async () => {
  const bench = fileURLToPath(new URL('../../soak/trust-watchers.mjs', import.meta.url));
  const words = [bench, '--watchers', '50', '--revocations', '5000', '--rounds', '5', '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  expect(JSON.parse(stdout)).toMatchObject({ watchers: 50, revocations: 5_000, complete: true });
});
