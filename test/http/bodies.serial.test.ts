import { connect, type Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { callOverHttp } from '../support/call-over-http.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const path = '/postern.v1.AuthService/Login';
const body = JSON.stringify({ email, password });

let service: TestService;
let port: number;
const sockets: Socket[] = [];
beforeAll(async () => {
  service = await startTestService({ POSTERN_HTTP_RPC: 'auth' });
  await service.addUser(email, password);
  port = Number(new URL(service.httpUrl).port);
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(() => service.stop());

interface Conversation {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly received: () => string;
  readonly closed: Promise<void>;
}

function open(text: string | Buffer): Conversation {
  const socket = connect(port, '127.0.0.1', () => void socket.write(text));
  let received = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
  socket.on('error', () => undefined);
  sockets.push(socket);
  return {
    socket,
    received: () => received,
    closed: new Promise((resolve) => socket.on('close', () => resolve())),
  };
}

const head = (...lines: string[]) =>
  [`POST ${path} HTTP/1.1`, 'host: localhost', 'content-type: application/json', ...lines, '', ''].join(
    '\r\n',
  );
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status);
const stillServes = async () => {
  const { status } = await callOverHttp(`${service.httpUrl}${path}`, { email, password });
  expect(status).toBe(200);
};

describe('requests that are not sent to their end', () => {
  test('H07 a body that does not come is given up after the deadline of the call', async () => {
    const slow = open(`${head('content-length: 100')}{"email"`);
    const startedMs = performance.now();
    await until(() => slow.received() !== '', 'an answer came', 15_000);
    expect(statuses(slow.received())).toEqual(['504']);
    expect(performance.now() - startedMs).toBeGreaterThan(4_000);
    // The client goes on sending, and is cut off.
    await slow.closed;
  }, 30_000);

  test('H07 a body without an end is refused at the limit, and its connection closed', async () => {
    const endless = open(head('transfer-encoding: chunked'));
    const chunk = `4000\r\n${'a'.repeat(0x4000)}\r\n`;
    const feed = setInterval(() => endless.socket.writable && endless.socket.write(chunk), 10);
    await endless.closed;
    clearInterval(feed);
    expect(statuses(endless.received())).toEqual(['429']);
    expect(endless.received()).toContain('MESSAGE_TOO_LARGE');
  }, 30_000);

  test('H07 half a body and a closed connection count as a cancelled call', async () => {
    const cut = open(`${head('content-length: 100', 'x-request-id: cut-off')}{"email"`);
    await until(() => service.logLines.length >= 0 && cut.socket.bytesWritten > 0, 'it was sent');
    cut.socket.end();
    await cut.closed;
    const line = () => service.logLines.find((text) => text.includes('cut-off'));
    await until(() => line() !== undefined, 'the call was logged');
    expect(line()).toContain('CANCELLED');
    await stillServes();
  });

  test('H07 a thousand idle connections keep nobody out', async () => {
    for (let each = 0; each < 1_000; each++) open(each % 2 === 0 ? '' : head('content-length: 100'));
    await until(() => sockets.every(({ connecting }) => !connecting), 'all are connected', 20_000);
    for (let each = 0; each < 20; each++) await stillServes();
  }, 60_000);
});

describe('requests that proxies and servers could read differently', () => {
  test.each([
    ['two lengths', head('content-length: 5', 'content-length: 6')],
    ['a length and chunks', head('content-length: 5', 'transfer-encoding: chunked')],
    ['chunks not last', head('transfer-encoding: chunked, identity')],
    ['a length with a sign', head('content-length: +5')],
    ['a space before the colon', head('content-length : 5')],
    ['a folded line', head('x-folded: a', ' b')],
    ['a bare line feed', head('content-length: 0').replaceAll('\r\n', '\n')],
    ['a chunk size that is none', `${head('transfer-encoding: chunked')}zz\r\n`],
    ['a chunk that is longer than its size', `${head('transfer-encoding: chunked')}1\r\nabc\r\n0\r\n\r\n`],
    ['no host', `POST ${path} HTTP/1.1\r\ncontent-length: 0\r\n\r\n`],
  ])('H07 %s: 400, and the connection ends', async (_name, request) => {
    const { received, closed } = open(`${request}${'a'.repeat(6)}POST /second HTTP/1.1\r\nhost: a\r\n\r\n`);
    await closed;
    // What follows is no request either.
    expect(new Set(statuses(received()))).toEqual(new Set(['400']));
  });

  test('H07 pipelined requests are answered in their order', async () => {
    const one = `${head(`content-length: ${Buffer.byteLength(body)}`)}${body}`;
    const bad = `${head('content-length: 2')}{]`;
    const { received } = open(one + bad + one);
    await until(() => statuses(received()).length === 3, 'all were answered', 10_000);
    expect(statuses(received())).toEqual(['200', '400', '200']);
  });
});

describe('requests in unusual forms', () => {
  const length = `content-length: ${Buffer.byteLength(body)}`;
  const chunked = `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\nauthorization: Bearer a\r\n\r\n`;
  test.each([
    ['of HTTP/1.0', `${head(length)}${body}`.replace('HTTP/1.1', 'HTTP/1.0'), ['200']],
    ['with a whole URL', `${head(length)}${body}`.replace('POST ', 'POST http://localhost'), ['200']],
    [
      'with the URL of another',
      `${head(length)}${body}`.replace('POST ', 'POST http://other.example'),
      ['421'],
    ],
    ['with trailers', `${head('transfer-encoding: chunked', 'trailer: authorization')}${chunked}`, ['200']],
    ['that wait for 100', `${head(length, 'expect: 100-continue')}${body}`, ['100', '200']],
    ['that want to upgrade', `${head(length, 'connection: upgrade', 'upgrade: h2c')}${body}`, ['200']],
    ['that expect something else', `${head(length, 'expect: gold')}${body}`, ['417']],
    ['with an encoded path', `${head(length)}${body}`.replace('/Login', '/%4Cogin'), ['404']],
    ['with large headers', head(`x: ${'a'.repeat(9_000)}`), ['431']],
  ])('H07 %s are answered', async (_name, request, expected) => {
    const { received } = open(request);
    await until(() => statuses(received()).length === expected.length, 'all is answered', 15_000);
    expect(statuses(received())).toEqual(expected);
  });
});

test('H07 the process has logged no fault', async () => {
  await stillServes();
  expect(service.logLines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});
