import { connect } from 'node:net';

import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { HealthService } from '../../../src/generated/grpc/health/v1/health.ts';
import type { FinishedCall } from '../../../src/rpc/call-context.ts';
import { guardConnections } from '../../../src/grpc/limits/connection-limits.ts';
import { ConnectionSlots } from '../../../src/net/connection-slots.ts';
import { connectionLimits, MAX_HEADER_LIST_BYTES } from '../../../src/grpc/limits/limits.ts';
import { HttpServer } from '../../../src/http/http-server.ts';
import { type BareListener, type ListenerOptions, startBareListener } from '../../support/bare-listener.ts';
import { until } from '../../support/wait-for.ts';
import {
  callFields,
  type Frame,
  frameType,
  headers,
  message,
  RawHttp2,
  setting,
} from '../../support/raw-http2.mjs';

const CHECK = '/grpc.health.v1.Health/Check';
const goaway = ({ type }: Frame) => type === frameType.goaway;

const listeners: BareListener[] = [];
afterAll(async () => {
  for (const listener of listeners) await listener.stop();
});

/** The default limits, except where a test overrides those that it cannot wait for. */
async function listen(options: Partial<ListenerOptions> = {}): Promise<string> {
  const listener = await startBareListener(options);
  listeners.push(listener);
  return listener.address;
}

test('N03 N11 the first SETTINGS frame has the maximum of concurrent streams and of the header list', async () => {
  const raw = await RawHttp2.open(await listen());
  const first = await raw.next(({ type }) => type === frameType.settings);
  const values = new Map<number, number>();
  for (let at = 0; at < (first?.payload.length ?? 0); at += 6)
    values.set(first?.payload.readUInt16BE(at) ?? 0, first?.payload.readUInt32BE(at + 2) ?? 0);
  expect(values.get(setting.maxConcurrentStreams)).toBe(256);
  expect(values.get(setting.maxHeaderListSize)).toBe(MAX_HEADER_LIST_BYTES);
  raw.destroy();
});

test('N03 the limits that a new connection does not show on the wire are set', () => {
  expect(connectionLimits).toMatchObject({
    'grpc-node.max_session_memory': 16,
    'grpc.max_connection_age_ms': 30 * 60_000,
    'grpc.max_connection_age_grace_ms': 60_000,
    'grpc.max_connection_idle_ms': 5 * 60_000,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
});

test('N03 a connection of maximum age gets GOAWAY, and is closed after the grace period', async () => {
  const limits = {
    connection: { 'grpc.max_connection_age_ms': 200, 'grpc.max_connection_age_grace_ms': 300 },
  };
  const raw = await RawHttp2.open(await listen({ limits }));
  // A call that never ends would otherwise keep the connection open.
  raw.send(headers(1, callFields('/grpc.health.v1.Health/Watch')), message(1));
  const sent = await raw.next(goaway);
  expect(sent?.payload.subarray(8).toString()).toBe('max_age');
  expect(raw.goaway).toBe(0);
  expect(await raw.closed()).toBe(true);
});

test('N03 an idle connection is closed', async () => {
  const raw = await RawHttp2.open(
    await listen({ limits: { connection: { 'grpc.max_connection_idle_ms': 200 } } }),
  );
  expect(await raw.next(goaway)).not.toBeNull();
  expect(await raw.closed()).toBe(true);
});

test('N03 a connection gets keepalive pings, and is closed when it does not answer', async () => {
  const limits = { connection: { 'grpc.keepalive_time_ms': 300, 'grpc.keepalive_timeout_ms': 2_000 } };
  const address = await listen({ limits });
  const [polite, silent] = await Promise.all([RawHttp2.open(address), RawHttp2.open(address)]);
  silent.answers = false;
  expect(await silent.closed()).toBe(true);
  const pings = () => polite.frames.filter(({ type }) => type === frameType.ping).length;
  await until(() => pings() > 3, 'pings');
  expect(polite.ended).toBe(false);
  polite.destroy();
});

test('N05 a call whose request does not arrive ends at its limit, and so does its stream', async () => {
  const finished: FinishedCall[] = [];
  const address = await listen({ limits: { requestMs: 300 }, onFinish: (call) => finished.push(call) });
  const raw = await RawHttp2.open(address);
  raw.send(headers(1, callFields(CHECK, { 'grpc-timeout': '99999999H' })));
  expect(await raw.next(({ type }) => type === frameType.reset)).not.toBeNull();
  expect(raw.frames.some(({ type, stream }) => type === frameType.headers && stream === 1)).toBe(true);
  expect(finished.map(({ code }) => code)).toEqual([status.DEADLINE_EXCEEDED]);
  raw.destroy();
});

/** Opens a connection on which one call was answered. */
async function served(address: string): Promise<RawHttp2> {
  const raw = await RawHttp2.open(address);
  raw.send(headers(1, callFields(CHECK)), message(1));
  expect(await raw.next(({ stream }) => stream === 1)).not.toBeNull();
  return raw;
}

test('N04 connections over the limit are closed at once, and those within it are served', async () => {
  const address = await listen({ maxConnections: 10 });
  const within = await Promise.all(Array.from({ length: 10 }, () => served(address)));
  const over = await RawHttp2.open(address).catch(() => null);
  expect(over === null || (await over.closed())).toBe(true);
  const [one] = within;
  one?.send(headers(3, callFields(CHECK)), message(3));
  expect(await one?.next(({ stream }) => stream === 3)).not.toBeNull();
  // When one is closed, another is accepted.
  within[9]?.destroy();
  let later: RawHttp2 | null = null;
  await until(async () => {
    later = await RawHttp2.open(address).catch(() => null);
    return (await later?.next(({ type }) => type === frameType.settings)) != null;
  }, 'room for another');
  for (const raw of [...within, later as RawHttp2 | null]) raw?.destroy();
});

test.each([
  ['connections that say nothing', false],
  ['connections that speak HTTP/2 and call nothing', true],
])('N04 of %s the oldest is closed for a new one, and those in use stay', async (_name, preface) => {
  const address = await listen({ maxConnections: 10 });
  const used = await Promise.all([served(address), served(address)]);
  const silent: RawHttp2[] = [];
  for (let each = 0; each < 8; each++) {
    const raw = await RawHttp2.open(address, { preface });
    raw.answers = preface;
    silent.push(raw);
  }
  const late = await Promise.all([served(address), served(address), served(address)]);
  await Promise.all(silent.slice(0, 3).map((raw) => raw.closed()));
  expect(silent.map(({ ended }) => ended)).toEqual([true, true, true, false, false, false, false, false]);
  for (const raw of [...used, ...late]) {
    raw.send(headers(3, callFields(CHECK)), message(3));
    expect(await raw.next(({ stream }) => stream === 3)).not.toBeNull();
  }
  for (const raw of [...silent, ...used, ...late]) raw.destroy();
});

test('N04 one address gets a limited share of the connections, and another is still accepted', async () => {
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  let address = 'a';
  server.addService(HealthService, {
    check: (_call: unknown, answer: (error: null, response: object) => void) => answer(null, { status: 1 }),
  });
  guardConnections(
    server,
    new ConnectionSlots({ max: 10, maxPerAddress: 2 }, () => address, { evictsServed: false }),
  );
  const open = async () => {
    const raw = await RawHttp2.open(`127.0.0.1:${port}`).catch(() => null);
    raw?.send(headers(1, callFields(CHECK)), message(1));
    const isServed = (await raw?.next(({ stream }) => stream === 1)) != null;
    return { raw, isServed };
  };
  const [one, two, three] = [await open(), await open(), await open()];
  expect([one.isServed, two.isServed, three.isServed]).toEqual([true, true, false]);
  address = 'b';
  const other = await open();
  expect(other.isServed).toBe(true);
  address = 'a';
  one.raw?.destroy();
  let again = await open();
  await until(async () => again.isServed || (again = await open()).isServed, 'a place given back');
  for (const { raw } of [two, other, again]) raw?.destroy();
  server.forceShutdown();
});

describe('the HTTP listener', () => {
  let http: HttpServer;
  let port: number;
  beforeAll(async () => {
    http = new HttpServer(
      { publication: null, unreadyReasons: () => [], verificationFaults: () => [], metrics: () => '' },
      null,
      {
        headersTimeoutMs: 300,
      },
    );
    const address = await http.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
    port = address.kind === 'tcp' ? address.port : 0;
  });
  afterAll(() => http.stop());

  /** Sends `text`. @returns everything that the server sent until it closed the connection */
  const speak = (text: string, more = '') =>
    new Promise<string>((resolve) => {
      let answer = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(text));
      const trickle = setInterval(() => more !== '' && socket.write(more), 100);
      socket.on('error', () => undefined);
      socket.setEncoding('latin1').on('data', (part: string) => (answer += part));
      socket.on('close', () => {
        clearInterval(trickle);
        resolve(answer);
      });
    });

  test('N04 headers that are too large or never end close an HTTP connection', async () => {
    const [large, slow] = await Promise.all([
      speak(`GET /livez HTTP/1.1\r\nhost: a\r\nx-large: ${'a'.repeat(20_000)}\r\n\r\n`),
      speak('GET /livez HTTP/1.1\r\nhost: a\r\n', 'x-more: a\r\n'),
    ]);
    expect(large).toMatch(/^HTTP\/1\.1 431 [^]*\r\n\r\nthe headers are larger than 8 KiB; send less\n$/);
    expect(slow).toMatch(/^HTTP\/1\.1 408 [^]*\r\n\r\nthe request did not arrive in time\n$/);
    expect(await speak('GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')).toContain('200 OK');
  });

  test('N04 invalid HTTP gets one response, and a client that never stops sending is disconnected', async () => {
    const [junk, flood] = await Promise.all([
      speak('\0\0\0 this is no request\r\n\r\n'),
      speak(`GET / HTTP/1.1\r\nx: ${'a'.repeat(20_000)}`, 'a'.repeat(20_000)),
    ]);
    expect(junk).toMatch(/^HTTP\/1\.1 400 [^]*\r\n\r\n.+\n$/);
    expect(flood.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 431']);
  });
});
