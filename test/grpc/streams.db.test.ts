import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { Rejected } from '../../src/domain/rejection.ts';
import { callInterceptor } from '../../src/grpc/call-interceptor.ts';
import type { FinishedCall } from '../../src/rpc/call-context.ts';
import type { ClientStreamHandler, ServerStreamHandler } from '../../src/rpc/handlers.ts';
import { clientStream } from '../../src/grpc/client-stream.ts';
import { guardMethod } from '../../src/rpc/method-guard.ts';
import { ANONYMOUS_STREAMS, WATCHING_STREAMS } from '../../src/grpc/limits/limits.ts';
import { serverStream } from '../../src/grpc/server-stream.ts';
import { StreamSlots } from '../../src/grpc/limits/stream-slots.ts';
import { WaitingCalls } from '../../src/grpc/limits/waiting-calls.ts';
import { reasonOf } from '../support/test-service.ts';

/** Two methods whose handlers each test sets. The wire format is text, and 'bad' does not decode. */
const serialize = (text: string) => Buffer.from(text);
const deserialize = (bytes: Buffer) => {
  if (bytes.toString() === 'bad') throw new Error('undecodable');
  return bytes.toString();
};
const wire = {
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize,
};
const methods = {
  send: { path: '/test.Streams/Send', requestStream: true, responseStream: false, ...wire },
  receive: { path: '/test.Streams/Receive', requestStream: false, responseStream: true, ...wire },
};
const rule = { access: 'public', deadlineMs: 300 } as const;
const noLimit = { access: 'public', deadlineMs: null } as const;
const guarded = { access: 'admin', deadlineMs: null } as const;

let send: ClientStreamHandler<string, string>;
let receive: ServerStreamHandler<string, string>;
let active: typeof rule | typeof noLimit | typeof guarded;
let client: grpc.Client;
let server: grpc.Server;
const stopStreams = new Set<() => void>();
const streams = {
  anonymous: new StreamSlots(ANONYMOUS_STREAMS, () => null),
  watching: new StreamSlots(WATCHING_STREAMS, () => null),
};
const finished: FinishedCall[] = [];
const refuse = () =>
  Promise.reject(new Rejected({ kind: 'admin-required', caller: { type: 'user', id: 'ann' } }));
const guard = {
  authenticate: refuse,
  writeAudit: () => Promise.resolve(),
  refusals: { take: () => null, missed: () => undefined },
  onAuditWriteFailed: () => undefined,
  onForwarderRefused: () => undefined,
  onRefusedAfterEnd: () => undefined,
};

beforeAll(async () => {
  const boundary = callInterceptor({
    isStopping: () => false,
    throughUnixSocket: () => false,
    isTrustedProxy: () => false,
    stopStreams,
    streams,
    streamIdleMs: 60_000,
    awaitingRequest: new WaitingCalls(5_000, streams.anonymous),
    awaitingReader: new WaitingCalls(5_000, null),
    onReset: () => undefined,
    onFinish: (call) => finished.push(call),
  });
  server = new grpc.Server({ interceptors: [boundary] });
  server.addService(methods, {
    send: (call: grpc.ServerReadableStream<string, string>, callback: grpc.sendUnaryData<string>) =>
      clientStream(active, guardMethod('/test/Send', active, guard, send))(call, callback),
    receive: (call: grpc.ServerWritableStream<string, string>) =>
      serverStream(
        active,
        guardMethod('/test/Receive', active, guard, () => undefined),
        receive,
      )(call),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
});
beforeEach(() => {
  active = noLimit;
  finished.length = 0;
});
afterAll(() => {
  client.close();
  server.forceShutdown();
});

interface End {
  readonly code: grpc.status;
  readonly reason: string | undefined;
  readonly requestId: string | undefined;
  readonly message: string;
}
const endOf = ({ code, details, metadata }: grpc.StatusObject): End => ({
  code,
  reason: reasonOf(metadata),
  requestId: metadata.get('x-request-id')[0]?.toString(),
  message: details,
});

function sending(): { call: grpc.ClientWritableStream<string>; end: Promise<End & { response?: string }> } {
  let response: string | undefined;
  const { path, requestSerialize, responseDeserialize } = methods.send;
  const call = client.makeClientStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    (_error, value) => {
      response = value;
    },
  );
  call.on('error', () => undefined);
  const end = new Promise<End & { response?: string }>((resolve) => {
    call.once('status', (status: grpc.StatusObject) =>
      // The response is passed on after the status, in the same tick.
      setImmediate(() => resolve({ ...endOf(status), ...(response !== undefined && { response }) })),
    );
  });
  return { call, end };
}

function receiving(): { call: grpc.ClientReadableStream<string>; texts: string[]; end: Promise<End> } {
  const texts: string[] = [];
  const { path, requestSerialize, responseDeserialize } = methods.receive;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, 'request');
  call.on('error', () => undefined);
  call.on('data', (text: string) => texts.push(text));
  const end = new Promise<End>((resolve) => {
    call.once('status', (status: grpc.StatusObject) => resolve(endOf(status)));
  });
  return { call, texts, end };
}

test('a client stream is read request by request and answered once', async () => {
  send = async (requests) => {
    const all: string[] = [];
    for await (const request of requests) all.push(request);
    return all.join(' ');
  };
  const { call, end } = sending();
  for (const text of ['a', 'b', 'c']) call.write(text);
  call.end();
  expect(await end).toMatchObject({ code: grpc.status.OK, response: 'a b c' });
});

test('a sender that is faster than the handler is slowed by flow control', async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const sent = { count: 0 };
  let read = 0;
  send = async (requests) => {
    await released;
    for await (const request of requests) read += request.length;
    return String(read);
  };
  const { call, end } = sending();
  const text = 'x'.repeat(16_384);
  const written = (async () => {
    for (; sent.count < 600; sent.count++)
      await new Promise<void>((resolve) => call.write(text, () => resolve()));
    call.end();
  })();
  receive = async function* () {
    await Promise.resolve();
    yield 'here';
  };
  // A response on the same connection shows that everything sent before has arrived.
  let before = -1;
  while (before < sent.count) {
    before = sent.count;
    for (let trip = 0; trip < 5; trip += 1) await receiving().end;
  }
  expect(sent.count).toBeLessThan(300);
  release();
  await written;
  expect((await end).response).toBe(String(600 * 16_384));
});

test.each<[string, () => Promise<string>, Partial<End>]>([
  [
    'refusal',
    () => Promise.reject(new Rejected({ kind: 'conflict' })),
    { code: grpc.status.ABORTED, reason: 'CONFLICT' },
  ],
  ['fault', () => Promise.reject(new Error('secret')), { code: grpc.status.INTERNAL, reason: undefined }],
  [
    'synchronous fault',
    () => {
      throw new Error('secret');
    },
    { code: grpc.status.INTERNAL, reason: undefined },
  ],
])("a handler's %s before the last request is sent as a status", async (_name, handler, expected) => {
  send = handler;
  const sender = sending();
  const sentEnd = await sender.end;
  receive = async function* () {
    yield await handler();
  };
  const receivedEnd = await receiving().end;
  for (const end of [sentEnd, receivedEnd]) {
    expect(end).toMatchObject(expected);
    expect(end.message).not.toContain('secret');
    expect(end.requestId).toMatch(/^[\w-]{36}$/);
  }
  expect(finished.map(({ code }) => code)).toEqual([expected.code, expected.code]);
});

test.each(['cancel', 'bad'])(
  'a handler never sees an aborted request stream (%s) as its end',
  async (how) => {
    let seen: unknown;
    const handled = new Promise<void>((resolve) => {
      send = async (requests, { signal }) => {
        try {
          for await (const request of requests) expect(request).toBe('a');
          seen = 'the end';
        } catch (error) {
          seen = [error instanceof Rejected && error.rejection.kind, signal.aborted];
        }
        resolve();
        return '';
      };
    });
    const { call, end } = sending();
    await new Promise<void>((resolve) => call.write('a', () => resolve()));
    while (stopStreams.size === 0) await new Promise((resolve) => setImmediate(resolve));
    if (how === 'cancel') call.cancel();
    else call.write('bad');
    await handled;
    expect(seen).toEqual(['cancelled', true]);
    expect((await end).code).toBe(how === 'cancel' ? grpc.status.CANCELLED : grpc.status.INVALID_ARGUMENT);
  },
);

test('a cancelled reader stops the handler', async () => {
  let stopped: () => void = () => undefined;
  const isStopped = new Promise<void>((resolve) => (stopped = resolve));
  receive = async function* () {
    try {
      for (let count = 0; ; count++) yield await Promise.resolve(String(count));
    } finally {
      stopped();
    }
  };
  const { call, texts, end } = receiving();
  await new Promise<void>((resolve) => call.once('data', () => resolve()));
  call.cancel();
  await isStopped;
  expect((await end).code).toBe(grpc.status.CANCELLED);
  expect(texts[0]).toBe('0');
});

test('the deadline of a method and its access rule apply to streams', async () => {
  active = rule;
  send = () => new Promise(() => undefined);
  receive = async function* (_request, { signal }) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    yield '';
  };
  const ends = () => Promise.all([sending().end, receiving().end]);
  expect((await ends()).map(({ code }) => code)).toEqual([4, 4]);
  active = guarded;
  expect((await ends()).map(({ reason }) => reason)).toEqual(['ADMIN_REQUIRED', 'ADMIN_REQUIRED']);
});

test('all streams can be ended at once, and none stays registered', async () => {
  send = () => new Promise(() => undefined);
  receive = async function* (_request, { signal }) {
    yield 'first';
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  };
  const calls = [sending(), receiving()] as const;
  while (stopStreams.size < 2) await new Promise((resolve) => setImmediate(resolve));
  for (const end of [...stopStreams]) end();
  for (const { end } of calls) {
    expect(await end).toMatchObject({ code: grpc.status.UNAVAILABLE, reason: 'SHUTTING_DOWN' });
  }
  expect(stopStreams.size).toBe(0);
});
