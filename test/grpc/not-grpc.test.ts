import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectTcp } from 'node:net';

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import type { FinishedCall } from '../../src/rpc/call-context.ts';
import { Code, codeName } from '../../src/rpc/status-code.ts';
import { AuditRateLimiter, auditRateLimits } from '../../src/features/audit/audit-rate-limiter.ts';
import { CallLogger } from '../../src/observability/call-log.ts';
import { methodTable } from '../../src/rpc/method-table.ts';
import { verificationOnly, verificationService } from '../../src/services/verification-service.ts';
import { type BareListener, startBareListener } from '../support/bare-listener.ts';
import { someClaims } from '../support/claims.ts';
import { until } from '../support/wait-for.ts';
import {
  callFields,
  frameType,
  headers,
  message,
  RawHttp2,
  reset,
  setting,
  settings,
} from '../support/raw-http2.mjs';

const VERIFY = '/postern.v1.AuthService/VerifyToken';
const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';

let listener: BareListener;
let session: ClientHttp2Session;
const finished: FinishedCall[] = [];
const errors: object[] = [];
const log = {
  isLevelEnabled: () => true,
  debug: () => undefined,
  info: () => undefined,
  error: (fields: object) => errors.push(fields),
};
const lines = new CallLogger(log, () => new AuditRateLimiter(auditRateLimits, () => 0));

beforeAll(async () => {
  const claims = someClaims({
    issuer: 'here',
    audience: ['postern'],
    roles: [],
    issuedAtSeconds: 1,
    expiresAtSeconds: 2,
  });
  listener = await startBareListener({
    reflection: true,
    services: (add) => add(verificationOnly, verificationService({ verifyToken: () => claims })),
    onFinish(call) {
      finished.push(call);
      lines.logCall(call);
    },
  });
  session = connect(`http://${listener.address}`);
});
afterAll(async () => {
  session.destroy();
  await listener.stop();
});
beforeEach(() => {
  finished.length = 0;
  errors.length = 0;
});

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
}

/** @param fields those with an empty value are not sent @param body null for a request without one */
function ask(fields: Record<string, string>, body: Buffer | null): Promise<Answer> {
  const sent = Object.entries({
    ':method': 'POST',
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: 'Bearer a',
    ...fields,
  }).filter(([, value]) => value !== '');
  const stream = session.request(Object.fromEntries(sent), { endStream: body === null });
  if (body) stream.end(body);
  return new Promise((resolve) => {
    let answer: Answer = { status: 0, code: undefined };
    const note = (got: Record<string, unknown>) => {
      const { ':status': status = answer.status, 'grpc-status': code = answer.code } = got;
      answer = { status: Number(status), code: code as string | undefined };
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('error', () => undefined);
    stream.on('close', () => resolve(answer));
    stream.resume();
    // Closes streams that would stay open.
    setTimeout(() => stream.close(8), 30_000).unref();
  });
}

const empty = Buffer.alloc(5);
const paths = [VERIFY, CHECK, WATCH, REFLECTION, '/no.such.Service/Method'];

test.each(['HEAD', 'GET', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])(
  'N06 %s is not a gRPC call: it gets 405, and no call and no error is logged',
  async (method) => {
    for (const path of paths) {
      for (const body of method === 'HEAD' || method === 'GET' ? [null] : [null, empty])
        expect(await ask({ ':method': method, ':path': path }, body)).toEqual({
          status: 405,
          code: undefined,
        });
    }
    expect([finished, errors]).toEqual([[], []]);
  },
);

test('N06 HEAD with a message, which no HTTP client sends, gets 405, too', async () => {
  for (const path of paths) {
    const answer = await ask({ ':method': 'HEAD', ':path': path }, empty);
    expect(answer.status).toBe(405);
  }
  expect([finished, errors]).toEqual([[], []]);
});

test.each([
  ['another content type', { 'content-type': 'application/json' }, 415, undefined],
  ['no content type', { 'content-type': '' }, 415, undefined],
  ['a dialect of gRPC', { 'content-type': 'application/grpc-web+proto' }, 200, '0'],
  ['no te', { te: '' }, 200, '0'],
  ['an unknown encoding', { 'grpc-encoding': 'br' }, 200, '0'],
  ['an invalid path', { ':path': '/' }, 200, String(Code.UNIMPLEMENTED)],
])('N06 %s ends no call in INTERNAL', async (_name, fields, status, code) => {
  for (const path of [VERIFY, CHECK])
    expect(await ask({ ':path': path, ...fields }, empty)).toEqual({ status, code });
  expect(errors).toEqual([]);
  expect(finished.filter((call) => call.code === Code.INTERNAL)).toEqual([]);
  expect(finished.every(({ path }) => path in methodTable)).toBe(true);
});

test('N06 an invalid compressed message and an unknown encoding get a client error', async () => {
  const compressed = Buffer.concat([Buffer.of(1, 0, 0, 0, 4), Buffer.from('junk')]);
  for (const encoding of ['gzip', 'deflate', 'br', 'identity'])
    for (const path of [VERIFY, CHECK]) {
      const { code } = await ask({ ':path': path, 'grpc-encoding': encoding }, compressed);
      expect([Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED].map(String)).toContain(code);
    }
  expect(errors).toEqual([]);
});

test.each([
  ['HTTP/1.1', 'GET /livez HTTP/1.1\r\nhost: a\r\n\r\n'],
  ['a TLS ClientHello', '\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03'],
  ['bytes', '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'],
])('N06 %s on the HTTP/2 port ends its connection and nothing else', async (_name, bytes) => {
  const split = listener.address.lastIndexOf(':');
  const socket = connectTcp(Number(listener.address.slice(split + 1)), listener.address.slice(0, split));
  let closed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  socket.resume();
  socket.write(bytes, 'latin1');
  await until(() => closed, 'it is closed');
  expect([finished, errors]).toEqual([[], []]);
  expect(await ask({ ':path': CHECK }, empty)).toEqual({ status: 200, code: '0' });
});

test.each([
  ['its stream', (raw: RawHttp2) => raw.send(reset(1, 8))],
  ['its stream with another code', (raw: RawHttp2) => raw.send(reset(1, 2))],
  ['its connection', (raw: RawHttp2) => raw.destroy()],
])('N06 a caller that ends %s while an answer waits causes no error', async (_name, leave) => {
  for (const path of [VERIFY, CHECK, WATCH, REFLECTION]) {
    finished.length = 0;
    const raw = await RawHttp2.open(listener.address);
    raw.send(settings([[setting['initialWindow'], 0]]));
    const question = path === REFLECTION ? message(1, Buffer.from([0x3a, 0]), 0, 0) : message(1);
    raw.send(headers(1, callFields(path, { authorization: 'Bearer a' })), question);
    await raw.next(({ stream, type }) => stream === 1 && type === frameType['headers']);
    leave(raw);
    await until(() => finished.length > 0, 'it has ended');
    raw.destroy();
    const expected = path === VERIFY ? Code.OK : Code.CANCELLED;
    expect(finished.map(({ code, path }) => [path, codeName(code)])).toEqual([[path, codeName(expected)]]);
  }
  expect(errors).toEqual([]);
});
