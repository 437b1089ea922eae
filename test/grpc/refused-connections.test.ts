import { connect as connectTcp, type Socket } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { AuditRateLimiter } from '../../src/features/audit/audit-rate-limiter.ts';
import { GrpcServer } from '../../src/grpc/grpc-server.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import type { RefusedConnection } from '../../src/net/refused-connection.ts';
import { handshakeFailure } from '../../src/net/tls/handshake-failure.ts';
import { ServerTls } from '../../src/net/tls/server-tls.ts';
import { ConnectionLog, connectionLineLimits } from '../../src/observability/connection-log.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';

const authority = createAuthority('ours');
const others = createAuthority('theirs');
const folder = mkdtempSync(join(tmpdir(), 'postern-refused-'));
const good = authority.issue({ uris: ['spiffe://example.org/good'] });
const sockets: Socket[] = [];
const stops: (() => Promise<void>)[] = [];
const refused: { listener: string; reason: string; address: string | null; detail: string }[] = [];
const noteAs = (listener: string) => (connection: RefusedConnection) =>
  void refused.push({ listener, ...connection });
let tls: ServerTls;
let ports: { grpc: number; http: number; plainGrpc: number; plainHttp: number };

beforeAll(async () => {
  const caFile = join(folder, 'ca.crt');
  writeFileSync(caFile, authority.cert);
  const paths = writeIssued(folder, 'server', authority.issue({ dns: ['localhost'] }));
  tls = await ServerTls.open({ ...paths, ca: caFile }, () => undefined);
  ports = {
    grpc: await startGrpc(tls),
    http: await startHttp(tls),
    plainGrpc: await startGrpc(null),
    plainHttp: await startHttp(null),
  };
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  refused.length = 0;
});
afterAll(async () => {
  for (const stop of stops) await stop();
  tls.stop();
  rmSync(folder, { recursive: true });
});

async function startGrpc(
  secure: ServerTls | null,
  maxConnections = 100,
  report: (connection: RefusedConnection) => void = noteAs('grpc'),
): Promise<number> {
  const server = new GrpcServer({
    services: () => undefined,
    guard: null,
    health: { processReady: [''], verificationReady: [] },
    reflection: false,
    maxConnections,
    onFinish: () => undefined,
    onConnectionRefused: report,
  });
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, secure);
  stops.push(() => server.stop({ delayMs: 0, graceMs: 100 }));
  return 'port' in address ? address.port : 0;
}

async function startHttp(secure: ServerTls | null): Promise<number> {
  const server = new HttpServer(
    { publication: null, unreadyReasons: () => [], verificationFaults: () => [], metrics: () => '' },
    secure,
    {
      onConnectionRefused: noteAs('http'),
    },
  );
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  stops.push(() => server.stop());
  return 'port' in address ? address.port : 0;
}

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));

/** Connects, shakes hands if it can, and leaves when the server has closed the connection. */
async function shakeHands(port: number, options: ConnectionOptions = {}): Promise<void> {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    ca: authority.cert,
    ALPNProtocols: ['h2'],
    ...options,
  });
  socket.on('error', () => undefined);
  sockets.push(socket);
  await closed(socket);
}

async function send(port: number, bytes: string): Promise<void> {
  const socket = connectTcp(port, '127.0.0.1');
  if (bytes === '') socket.once('connect', () => socket.end());
  else socket.write(bytes);
  socket.on('error', () => undefined).resume();
  sockets.push(socket);
  await closed(socket);
}

async function untilRefused(count = 1): Promise<typeof refused> {
  const giveUpMs = Date.now() + 20_000;
  while (refused.length < count && Date.now() < giveUpMs)
    await new Promise((resolve) => setTimeout(resolve, 10));
  return refused;
}

const ofLoopback = (listener: string, reason: string, detail: RegExp) => ({
  listener,
  reason,
  address: '127.0.0.1',
  detail: expect.stringMatching(detail) as unknown,
});

describe('N21 the gRPC listener tells', () => {
  test.each<[string, ConnectionOptions, string, RegExp]>([
    ['a caller without a certificate', {}, 'no-certificate', /no client certificate.*POSTERN_TLS_CLIENT_CA/],
    ['the same in TLS 1.2', { maxVersion: 'TLSv1.2' }, 'no-certificate', /no client certificate/],
    [
      'an expired certificate',
      authority.issue({ validForMs: -60_000 }),
      'expired-certificate',
      /has expired/,
    ],
    [
      'an expired certificate in TLS 1.2',
      { ...authority.issue({ validForMs: -60_000 }), maxVersion: 'TLSv1.2' },
      'expired-certificate',
      /has expired/,
    ],
    [
      'a certificate of another authority',
      others.issue({}),
      'untrusted-certificate',
      /POSTERN_TLS_CLIENT_CA/,
    ],
    [
      'an authority of the same name and another key',
      createAuthority('ours').issue({}),
      'untrusted-certificate',
      /POSTERN_TLS_CLIENT_CA/,
    ],
    [
      'a caller of the times of TLS 1.1',
      { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
      'no-common-protocol',
      /TLS version/,
    ],
    ['a browser', { ...good, ALPNProtocols: ['http/1.1'] }, 'no-common-protocol', /protocol in common/],
  ])('%s', async (_name, options, reason, detail) => {
    await shakeHands(ports.grpc, options);
    expect(await untilRefused()).toEqual([ofLoopback('grpc', reason, detail)]);
  });

  test('a caller that does not ask for HTTP/2', async () => {
    const ended = shakeHands(ports.grpc, { ...good, ALPNProtocols: undefined });
    expect(await untilRefused()).toEqual([ofLoopback('grpc', 'not-http2', /ALPN h2/)]);
    for (const socket of sockets) socket.destroy();
    await ended;
  });

  test.each([
    ['a gRPC client in plaintext', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'plaintext'],
    ['a probe in plaintext', 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n', 'plaintext'],
    ['a CONNECT to a proxy', 'CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n', 'plaintext'],
  ])('%s', async (_name, bytes, reason) => {
    await send(ports.grpc, bytes);
    expect(await untilRefused()).toEqual([ofLoopback('grpc', reason, /does not speak TLS/)]);
  });

  test('a gRPC library in plaintext, which sees only that it is unavailable', async () => {
    // A list of its own: the library goes on trying for a moment after it was closed.
    const told: RefusedConnection[] = [];
    const port = await startGrpc(tls, 100, (connection) => void told.push(connection));
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    const error = await new Promise((resolve) => client.waitForReady(Date.now() + 500, resolve));
    client.close();
    expect(error).toEqual(expect.objectContaining({ message: 'Failed to connect before the deadline' }));
    expect(told[0]).toMatchObject({ reason: 'plaintext', address: '127.0.0.1' });
  });

  test('a caller that leaves in the middle, and not a probe that sends nothing', async () => {
    await send(ports.grpc, '');
    const half = connectTcp(ports.grpc, '127.0.0.1', () => half.end(Buffer.from([0x16, 0x03, 0x01])));
    sockets.push(half);
    await closed(half.resume());
    expect(await untilRefused()).toEqual([ofLoopback('grpc', 'left', /during the TLS handshake/)]);
  });

  test('nothing of a caller that is let in', async () => {
    const client = new grpc.Client(
      `127.0.0.1:${ports.grpc}`,
      grpc.credentials.createSsl(Buffer.from(authority.cert), Buffer.from(good.key), Buffer.from(good.cert)),
    );
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Date.now() + 20_000, (error) => (error ? reject(error) : resolve())),
    );
    client.close();
    await shakeHands(ports.grpc);
    expect((await untilRefused()).map(({ reason }) => reason)).toEqual(['no-certificate']);
  });

  test.each([
    ['TLS where it has none', () => shakeHands(ports.plainGrpc)],
    ['HTTP/1.1', () => send(ports.plainGrpc, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
  ])('%s', async (_name, call) => {
    await call();
    expect(await untilRefused()).toEqual([ofLoopback('grpc', 'not-http2', /did not begin as HTTP\/2/)]);
  });

  test('a full listener, whose oldest connection gave way', async () => {
    const port = await startGrpc(tls, 10);
    const waiting = Array.from({ length: 11 }, () =>
      connectTcp(port, '127.0.0.1').on('error', () => undefined),
    );
    sockets.push(...waiting);
    const [told, ...more] = await untilRefused();
    expect(told).toEqual(ofLoopback('grpc', 'limit', /gave way to a new one \(10, 2 from one address\)/));
    expect(more).toEqual([]);
  });
});

describe('N21 the HTTP listener tells', () => {
  test('plaintext where it has TLS', async () => {
    await send(ports.http, 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(await untilRefused()).toEqual([ofLoopback('http', 'plaintext', /does not speak TLS/)]);
  });

  test('TLS where it has none', async () => {
    await shakeHands(ports.plainHttp, { ALPNProtocols: undefined });
    expect(await untilRefused()).toEqual([ofLoopback('http', 'tls', /speaks TLS/)]);
  });
});

test.each([
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', null, 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', null, 'certificate-refused'],
  ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', null, 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', null, 'no-common-protocol'],
  ['ERR_TLS_HANDSHAKE_TIMEOUT', null, 'timeout'],
  ['ECONNRESET', 'CERT_NOT_YET_VALID', 'invalid-certificate'],
  ['ECONNRESET', 'INVALID_PURPOSE', 'invalid-certificate'],
  ['ECONNRESET', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'untrusted-certificate'],
  ['ERR_SSL_SOMETHING_NEW', null, 'other'],
])('N21 %s with %s is %s', (code, authorizationError, reason) => {
  expect(handshakeFailure(code, authorizationError).reason).toBe(reason);
});

test('N21 a caller that tries again and again has one line a minute, and is counted each time', () => {
  let nowMs = 0;
  const lines: Record<string, unknown>[] = [];
  const write = (fields: object, event: string) => void lines.push({ ...fields, event });
  const log = new ConnectionLog(
    { info: write, warn: write },
    new AuditRateLimiter(connectionLineLimits, () => nowMs),
  );
  const from = (address: string | null, reason: RefusedConnection['reason']) =>
    log.refused('grpc', { reason, detail: 'why', address });
  for (; nowMs < 120_000; nowMs += 500) {
    from('192.0.2.1', 'plaintext');
    from(`2001:db8::${nowMs % 7}`, 'plaintext');
  }
  from('::ffff:192.0.2.1', 'no-certificate');
  from(null, 'limit');
  expect(lines.map(({ peer, reason }) => [peer, reason])).toEqual([
    ['192.0.2.1', 'plaintext'],
    ['2001:db8::0', 'plaintext'],
    ['192.0.2.1', 'plaintext'],
    [expect.stringMatching(/^2001:db8::/), 'plaintext'],
    ['192.0.2.1', 'no-certificate'],
    ['unix socket', 'limit'],
  ]);
  expect(lines[0]).toEqual({
    event: 'connection-refused',
    listener: 'grpc',
    reason: 'plaintext',
    peer: '192.0.2.1',
    detail: 'why',
  });
  expect(lines[2]?.['unlogged']).toBeGreaterThan(230);
  const counted = log.failedHandshakes().filter(([, count]) => count > 0);
  expect(counted).toEqual([
    [['grpc', 'no-certificate'], 1],
    [['grpc', 'plaintext'], 480],
  ]);
  // The series of a metric: none of a caller's making.
  expect(log.failedHandshakes()).toHaveLength(24);

  lines.length = 0;
  for (let number = 0; number < 5_000; number += 1)
    from(`198.51.${number >> 8}.${number & 255}`, 'plaintext');
  expect(lines.length).toBeLessThanOrEqual(300);
});
