import { connect, constants, type ClientHttp2Session } from 'node:http2';
import { gzipSync } from 'node:zlib';

import { Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { callFields, flag, frameType, headers, message, RawHttp2 } from '../support/raw-http2.mjs';
import { reasonOf, startTestService, type TestService } from '../support/test-service.ts';

let service: TestService;
let session: ClientHttp2Session;

beforeAll(async () => {
  service = await startTestService();
  session = connect(`http://${service.grpcAddress}`);
});
afterAll(async () => {
  session.close();
  await service.stop();
});

interface RawAnswer {
  readonly status: number | undefined;
  readonly message: string;
  readonly reason?: string | undefined;
}

/** One call on a raw stream, so that it can be malformed in ways that no client library produces. */
function rawCall(
  path: string,
  body: Buffer,
  headers: Record<string, string | string[]> = {},
): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let answer: RawAnswer = { status: undefined, message: '' };
    const read = (from: Record<string, string | string[] | number | undefined>) => {
      if (from['grpc-status'] === undefined) return;
      answer = {
        status: Number(from['grpc-status']),
        message: decodeURIComponent(String(from['grpc-message'] ?? '')),
        reason: reasonOf(detailsIn(from['grpc-status-details-bin'])),
      };
    };
    stream.on('response', read);
    stream.on('trailers', read);
    stream.on('error', () => undefined);
    stream.on('close', () => resolve(answer));
    stream.resume();
    stream.end(body);
  });
}

function detailsIn(base64: unknown): Metadata {
  const metadata = new Metadata();
  if (typeof base64 === 'string') metadata.set('grpc-status-details-bin', Buffer.from(base64, 'base64'));
  return metadata;
}

function framed(message: Uint8Array, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const LOGIN = '/postern.v1.AuthService/Login';
const VERIFY = '/postern.v1.AuthService/VerifyToken';
const stringField = (number: number, bytes: Uint8Array) =>
  Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes]);

async function expectAlive(): Promise<void> {
  const { response } = await service.call('grpc.health.v1.Health/Check', { service: '' });
  expect(response).toEqual({ status: 'SERVING' });
}

test.each([
  ['undecodable protobuf', LOGIN, framed(Buffer.from('ffffffffff', 'hex')), {}],
  ['a truncated field', LOGIN, framed(Buffer.from('0aff01', 'hex')), {}],
  ['invalid UTF-8', LOGIN, framed(stringField(2, Buffer.from('c328', 'hex'))), {}],
  ['a lone surrogate in UTF-8', LOGIN, framed(stringField(2, Buffer.from('eda080', 'hex'))), {}],
  ['junk called gzip', LOGIN, framed(Buffer.from('this is not gzip'), 1), { 'grpc-encoding': 'gzip' }],
  ['junk called deflate', VERIFY, framed(Buffer.from('nor is this'), 1), { 'grpc-encoding': 'deflate' }],
  ['undecodable protobuf to a hot method', VERIFY, framed(Buffer.from('ffffffffff', 'hex')), {}],
  ['invalid UTF-8 to a hot method', VERIFY, framed(stringField(1, Buffer.from('c328', 'hex'))), {}],
  ['a malformed timeout', VERIFY, framed(Buffer.alloc(0)), { 'grpc-timeout': 'soon' }],
  ['undecodable health request', '/grpc.health.v1.Health/Check', framed(Buffer.from('0aff', 'hex')), {}],
])('N06 %s is refused as INVALID_ARGUMENT', async (_name, path, body, headers) => {
  const { status: code, message } = await rawCall(path, body, headers);
  expect(code).toBe(status.INVALID_ARGUMENT);
  expect(message).not.toBe('');
  await expectAlive();
});

test.each([
  ['no message at all', LOGIN, Buffer.alloc(0), {}, status.UNIMPLEMENTED],
  ['no message at all to a hot method', VERIFY, Buffer.alloc(0), {}, status.UNIMPLEMENTED],
  ['three bytes', VERIFY, Buffer.of(0, 0, 0), {}, status.UNIMPLEMENTED],
  ['half a message', VERIFY, framed(Buffer.alloc(9)).subarray(0, 7), {}, status.UNIMPLEMENTED],
  ['N02 a hot message over 64 KiB', VERIFY, framed(Buffer.alloc(65_537)), {}, status.RESOURCE_EXHAUSTED],
  [
    'N02 a gzip bomb to a hot method',
    VERIFY,
    framed(gzipSync(Buffer.alloc(20_000_000)), 1),
    { 'grpc-encoding': 'gzip' },
    status.RESOURCE_EXHAUSTED,
  ],
  [
    'two messages',
    VERIFY,
    Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.alloc(0))]),
    {},
    status.UNIMPLEMENTED,
  ],
  [
    'an unknown encoding',
    LOGIN,
    framed(Buffer.from('x'), 1),
    { 'grpc-encoding': 'br' },
    status.UNIMPLEMENTED,
  ],
  ['an unknown method', '/postern.v1.AuthService/Nothing', framed(Buffer.alloc(0)), {}, status.UNIMPLEMENTED],
  [
    'N05 a timeout of 99999999H',
    VERIFY,
    framed(Buffer.alloc(0)),
    { 'grpc-timeout': '99999999H' },
    status.UNAUTHENTICATED,
  ],
])('%s gets the expected status', async (_name, path, body, headers, expected) => {
  expect((await rawCall(path, body, headers as Record<string, string>)).status).toBe(expected);
  await expectAlive();
});

test.each([
  ['N02 a message over 64 KiB', LOGIN, framed(Buffer.alloc(65_537)), {}, 'MESSAGE_TOO_LARGE'],
  [
    'N02 a gzip bomb',
    LOGIN,
    framed(gzipSync(Buffer.alloc(20_000_000)), 1),
    { 'grpc-encoding': 'gzip' },
    'MESSAGE_TOO_LARGE',
  ],
  [
    'N11 metadata over 16 KiB',
    VERIFY,
    framed(Buffer.alloc(0)),
    { 'x-large': 'a'.repeat(20_000) },
    'METADATA_TOO_LARGE',
  ],
])('%s is refused with its reason and the limit', async (_name, path, body, headers, reason) => {
  const answer = await rawCall(path, body, headers);
  expect(answer).toEqual({
    status: status.RESOURCE_EXHAUSTED,
    message: expect.stringMatching(/\b\d+ bytes\b/),
    reason,
  });
  await expectAlive();
});

test('N11 headers over 20 KiB get no gRPC status, and the connection stays open', async () => {
  const answer = await rawCall(VERIFY, framed(Buffer.alloc(0)), { 'x-large': 'a'.repeat(30_000) });
  expect(answer.status).toBeUndefined();
  expect(session.closed || session.destroyed).toBe(false);
  await expectAlive();
});

test('N11 two tokens in one authorization header are refused', async () => {
  const answer = await rawCall(VERIFY, framed(Buffer.alloc(0)), { authorization: 'Bearer a, Bearer b' });
  expect(answer.status).toBe(status.UNAUTHENTICATED);
  expect(answer.message).toContain('authorization');
});

test('N11 two tokens in two authorization fields are refused, whichever is valid', async () => {
  await service.addUser('root@example.com', 'correct horse battery', ['admin']);
  const valid = `Bearer ${await service.tokenOf('root@example.com', 'correct horse battery')}`;
  for (const [index, authorization] of [[valid], [valid, 'Bearer b'], ['', valid]].entries()) {
    // A method that only grpc-js answers, and whose refusals are audited.
    const fields = { authorization, 'x-request-id': `twice-${index}` };
    const raw = await RawHttp2.open(service.grpcAddress);
    raw.send(headers(1, callFields('/postern.v1.AdminService/CreateUser', fields)), message(1));
    await raw.next(({ type, flags }) => type === frameType.headers && (flags & flag.endStream) !== 0);
    raw.destroy();
  }
  const rows = await service.database.query(
    "SELECT reason FROM audit_events WHERE request_id LIKE 'twice-_' ORDER BY request_id",
  );
  expect(rows.map(({ reason }) => reason)).toEqual(['FIELD_INVALID', 'TOKEN_MALFORMED', 'TOKEN_MALFORMED']);
});

test('N01 a connection with another protocol is closed and others are served', async () => {
  const { connect: connectTcp } = await import('node:net');
  const [host = '', port] = service.grpcAddress.split(':');
  for (const junk of [
    'GET / HTTP/1.1\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\u00ff\u0001',
    '\u0016\u0003\u0001',
  ]) {
    await new Promise<void>((resolve) => {
      const socket = connectTcp(Number(port), host, () => socket.end(junk, 'latin1'));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      socket.resume();
    });
  }
  await expectAlive();
});
