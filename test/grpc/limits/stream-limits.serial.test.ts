import type { Http2Session } from 'node:http2';

import { status as Code } from '@grpc/grpc-js';
import { afterEach, expect, test } from '@jest/globals';

import { authenticateBy } from '../../../src/rpc/authenticate.ts';
import type { FinishedCall } from '../../../src/rpc/call-context.ts';
import { limitedSource } from '../../../src/net/peer-address.ts';
import { StreamSlots } from '../../../src/grpc/limits/stream-slots.ts';
import { ANONYMOUS_STREAMS, STREAM_IDLE_MS, WATCHING_STREAMS } from '../../../src/grpc/limits/limits.ts';
import { TrustServiceService } from '../../../src/generated/postern/v1/trust.ts';
import { verificationOnly, verificationService } from '../../../src/services/verification-service.ts';
import { type WaitingCall, WaitingCalls } from '../../../src/grpc/limits/waiting-calls.ts';
import { type BareListener, type ListenerOptions, startBareListener } from '../../support/bare-listener.ts';
import { someClaims } from '../../support/claims.ts';
import { until } from '../../support/wait-for.ts';
import {
  callFields,
  flag,
  frameType,
  headers,
  message,
  RawHttp2,
  reset,
  setting,
  settings,
  windowUpdate,
} from '../../support/raw-http2.mjs';

const WATCH = '/grpc.health.v1.Health/Watch';
const CHECK = '/grpc.health.v1.Health/Check';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const VERIFY = '/postern.v1.AuthService/VerifyToken';
const WATCH_TRUST = '/postern.v1.TrustService/WatchTrust';
/** Far longer than this process is ever blocked. */
const IDLE_MS = 1_500;

const claims = someClaims({
  issuer: 'here',
  audience: ['postern'],
  roles: [],
  issuedAtSeconds: 1,
  expiresAtSeconds: 2,
});

interface Listener extends BareListener {
  readonly finished: FinishedCall[];
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listen(options: Partial<ListenerOptions> = {}): Promise<Listener> {
  const finished: FinishedCall[] = [];
  const listener = await startBareListener({
    reflection: true,
    services: (add) =>
      add(verificationOnly, verificationService({ verifyToken: () => new Promise(() => undefined) })),
    onFinish: (call) => finished.push(call),
    ...options,
  });
  cleanups.push(() => listener.stop());
  return { ...listener, finished };
}

async function connect({ address }: BareListener): Promise<RawHttp2> {
  const raw = await RawHttp2.open(address);
  cleanups.push(() => raw.destroy());
  return raw;
}

const ids = (count: number, from = 0) => Array.from({ length: count }, (_, index) => 1 + 2 * (from + index));
/** The frames that open each stream, with its one message unless the request is left open. */
const opened = (path: string, streams: readonly number[], sends = true) =>
  streams.flatMap((id) => [headers(id, callFields(path)), ...(sends ? [message(id)] : [])]);
const refusedOf = ({ finished }: Listener) =>
  finished.filter(({ reason }) => reason === 'STREAM_LIMIT_REACHED');
const isEnd =
  (id: number) =>
  ({ stream, type, flags }: { stream: number; type: number; flags: number }) =>
    stream === id &&
    (type === frameType['reset'] || (type === frameType['headers'] && (flags & flag['endStream']) !== 0));

test('N15 the limits are those that are documented', () => {
  expect(ANONYMOUS_STREAMS).toEqual({ perConnection: 32, perAddress: 256, perProcess: 1_024 });
  expect(WATCHING_STREAMS).toEqual({ perConnection: 256, perAddress: 1_024, perProcess: 4_096 });
  expect(STREAM_IDLE_MS).toBe(300_000);
});

test.each([
  ['Health/Watch', WATCH, true],
  ['Health/Watch without a request', WATCH, false],
  ['reflection', REFLECTION, false],
])(
  'N15 a connection has a limit for %s streams, and one that ends makes room',
  async (_name, path, sends) => {
    const listener = await listen();
    const raw = await connect(listener);
    raw.send(...opened(path, ids(40), sends));
    await until(() => refusedOf(listener).length === 8, 'eight are refused');
    expect(refusedOf(listener).map(({ code }) => code)).toEqual(
      Array.from({ length: 8 }, () => Code.RESOURCE_EXHAUSTED),
    );
    expect(listener.server.openStreams.anonymous).toBe(32);
    // A refused stream is also closed: by a reset, unless both sides have ended it.
    const isClosed = ({ stream, type }: { stream: number; type: number }) =>
      stream === 79 && type === frameType['reset'];
    expect(await raw.next(sends ? isEnd(79) : isClosed)).not.toBeNull();

    raw.send(reset(1));
    await until(() => listener.server.openStreams.anonymous === 31, 'room for one');
    raw.send(...opened(path, [81, 83], sends));
    await until(() => refusedOf(listener).length === 9, 'one of two is refused');
    raw.destroy();
    await until(() => listener.server.openStreams.anonymous === 0, 'all slots are released');
  },
);

test('N15 all connections together have a limit, and other calls are still answered', async () => {
  const listener = await listen();
  const raws: RawHttp2[] = [];
  for (let each = 0; each < 34; each++) {
    const raw = await connect(listener);
    raw.send(...opened(WATCH, ids(32)));
    raws.push(raw);
  }
  await until(() => refusedOf(listener).length === 64, 'streams above 1,024 are refused');
  expect(listener.server.openStreams.anonymous).toBe(1_024);
  const [first] = raws;
  first?.send(...opened(CHECK, [1_001]));
  expect(
    await first?.next(({ stream, type }) => stream === 1_001 && type === frameType['data']),
  ).not.toBeNull();
});

test('N15 an address has a limit, IPv6 by /64, but loopback and trusted proxies do not', () => {
  const isProxy = (address: string) => address === '192.0.2.9';
  const from = (remoteAddress: string) => {
    const source = limitedSource({ remoteAddress }, isProxy);
    return { source } as unknown as Http2Session;
  };
  const slots = new StreamSlots(
    { perConnection: 2, perAddress: 3, perProcess: 100 },
    (session) => (session as unknown as { source: string | null }).source,
  );
  const taken = ['2001:db8::1', '2001:db8::2', '2001:db8:0:0:ffff::3', '2001:db8::4', '2001:db8:0:1::4'].map(
    (address) => slots.take(from(address)),
  );
  expect(taken.map((held) => held !== null)).toEqual([true, true, true, false, true]);
  for (const address of ['127.0.0.1', '::1', '192.0.2.9', '::ffff:127.0.0.1'])
    for (let each = 0; each < 5; each++) expect(slots.take(from(address))).not.toBeNull();

  const before = slots.open;
  taken[0]?.();
  taken[0]?.();
  expect(slots.open).toBe(before - 1);
  const again = [from('2001:db8::9'), from('2001:db8::9')].map((session) => slots.take(session));
  expect(again.map((held) => held !== null)).toEqual([true, false]);
});

test('N15 an idle stream ends with UNAVAILABLE, and an active one stays open', async () => {
  const listener = await listen({ limits: { streamIdleMs: IDLE_MS } });
  const raw = await connect(listener);
  const query = Buffer.from([0x3a, 0]);
  raw.send(...opened(WATCH, [1]), headers(3, callFields(REFLECTION)));
  const talk = setInterval(() => raw.send(message(3, query, 0, 0)), 50);
  cleanups.push(() => clearInterval(talk));
  expect(await raw.next(isEnd(1))).not.toBeNull();
  expect(listener.finished).toMatchObject([{ code: Code.UNAVAILABLE, reason: 'STREAM_IDLE', path: WATCH }]);
  clearInterval(talk);
  expect(await raw.next(isEnd(3))).not.toBeNull();
  expect(listener.finished).toMatchObject([
    {},
    { code: Code.UNAVAILABLE, reason: 'STREAM_IDLE', path: REFLECTION },
  ]);
});

test('N15 a change that Health.Watch reports restarts its idle time', async () => {
  const listener = await listen({ limits: { streamIdleMs: IDLE_MS } });
  const raw = await connect(listener);
  raw.send(...opened(WATCH, [1]));
  const startMs = performance.now();
  let serving = false;
  const change = setInterval(() => listener.server.setServing('processReady', (serving = !serving)), 100);
  cleanups.push(() => clearInterval(change));
  await until(
    () => raw.frames.filter(({ type }) => type === frameType['data']).length > 20,
    'twenty changes',
  );
  expect(performance.now() - startMs).toBeGreaterThan(IDLE_MS);
  expect(listener.finished).toEqual([]);
});

test.each([
  ['directly answered', VERIFY],
  ['other', CHECK],
])('N15 %s requests that are slow to arrive count as streams', async (_name, path) => {
  const listener = await listen({ limits: { requestMs: 60_000 } });
  const raw = await connect(listener);
  raw.send(...opened(path, ids(100), false));
  await until(() => refusedOf(listener).length === 68, 'those beyond the limit are refused');
  expect(listener.server.openStreams.anonymous).toBe(32);
  expect(refusedOf(listener).map(({ code }) => code)).toEqual(
    Array.from({ length: 68 }, () => Code.RESOURCE_EXHAUSTED),
  );
  raw.destroy();
  await until(() => listener.server.openStreams.anonymous === 0, 'all slots are released');
});

test.each([
  ['directly answered', VERIFY],
  ['other', CHECK],
])(
  'N15 %s requests that arrived while the event loop was blocked do not count as slow',
  async (_name, path) => {
    const listener = await listen({
      services: (add) => add(verificationOnly, verificationService({ verifyToken: () => claims })),
    });
    const raw = await connect(listener);
    raw.send(...opened(path, ids(100), false), ...opened(CHECK, [1_001]));
    const isAnswer = (id: number) => (frame: { stream: number; type: number }) =>
      frame.stream === id && frame.type === frameType['data'];
    expect(await raw.next(isAnswer(1_001))).not.toBeNull();
    // They are in the socket before the timer fires that looks for slow ones.
    raw.send(...ids(100).map((id) => message(id)));
    const startMs = performance.now();
    while (performance.now() - startMs < 1_200);
    for (const id of ids(100)) expect(await raw.next(isEnd(id))).not.toBeNull();
    expect(refusedOf(listener)).toHaveLength(0);
  },
);

test.each(['HEAD', 'GET', 'PUT'])('N15 a stream that a %s request leaves open is closed', async (method) => {
  const listener = await listen();
  const raw = await connect(listener);
  const fields = callFields(VERIFY, { ':method': method });
  // More than the concurrent streams of a connection, so each must have been closed.
  for (let each = 0; each < 300; each++) {
    const id = 1 + 2 * each;
    raw.send(headers(id, fields));
    expect(await raw.next(({ stream, type }) => stream === id && type === frameType['reset'])).not.toBeNull();
  }
  expect(listener.finished).toHaveLength(0);
});

test('N15 beyond the limit of waiting requests the oldest is ended, however fast they come', () => {
  const ended: number[] = [];
  const waiting = new WaitingCalls(60_000, null, 3);
  const calls = [0, 1, 2, 3, 4].map((index): WaitingCall => ({
    waitsSinceMs: performance.now(),
    chargedSession: null,
    giveUpWaiting: () => ended.push(index),
  }));
  for (const call of calls) waiting.add(call);
  expect(ended).toEqual([0, 1]);
  for (const call of calls) waiting.delete(call);
});

test('N15 authenticated watchers have a limit of their own, and anonymous callers use none of it', async () => {
  const authenticate = authenticateBy({ service: [], admin: [] }, () =>
    Promise.reject(new Error('no tokens here')),
  );
  const options = (openToAll: boolean): Partial<ListenerOptions> => ({
    limits: { watching: { perConnection: 3, perAddress: 3, perProcess: 3 } },
    services: (add) =>
      add(TrustServiceService, {
        resolveApiKey: () => Promise.reject(new Error('no API keys here')),
        async *watchTrust(_request, call) {
          yield { cursor: '', update: undefined };
          await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
        },
      }),
    guard: {
      authenticate: openToAll
        ? () => Promise.resolve({ type: 'service', id: 'one', roles: [], claims: null } as never)
        : authenticate,
      writeAudit: () => Promise.resolve(),
      refusals: { take: () => null, missed: () => undefined },
      onAuditWriteFailed: () => undefined,
      onForwarderRefused: () => undefined,
      onRefusedAfterEnd: () => undefined,
    },
  });
  const closed = await listen(options(false));
  const unauthenticated = await connect(closed);
  unauthenticated.send(...opened(WATCH_TRUST, ids(20)));
  await until(() => closed.finished.length === 20, 'unauthenticated watchers are refused');
  expect(closed.finished.map(({ reason }) => reason)).toEqual(
    Array.from({ length: 20 }, () => 'CREDENTIALS_MISSING'),
  );
  expect(closed.server.openStreams.watching).toBe(0);

  const open = await listen(options(true));
  const raw = await connect(open);
  raw.send(...opened(WATCH_TRUST, ids(5)));
  await until(() => refusedOf(open).length === 2, 'two of five are refused');
  expect(open.server.openStreams).toEqual({ anonymous: 0, watching: 3 });
});

test('N05 a stream is closed if its answer is not read or its request never ends', async () => {
  const listener = await listen({
    limits: { unreadMs: 300 },
    services: (add) => add(verificationOnly, verificationService({ verifyToken: () => claims })),
  });
  const unread = await connect(listener);
  unread.send(
    settings([[setting['initialWindow'], 0]]),
    headers(1, callFields(VERIFY, { authorization: 'Bearer a' })),
    message(1),
    ...opened(CHECK, [3]),
  );
  const open = await connect(listener);
  open.send(
    headers(1, callFields(VERIFY, { 'grpc-timeout': 'soon' })),
    headers(3, callFields(CHECK, { 'grpc-timeout': '50m' })),
    headers(5, callFields(CHECK)),
    message(5, Buffer.alloc(0), 0, 0),
    message(5, Buffer.alloc(0), 0, 0),
  );
  const isReset =
    (id: number) =>
    ({ stream, type }: { stream: number; type: number }) =>
      stream === id && type === frameType['reset'];
  for (const id of [1, 3]) expect(await unread.next(isReset(id))).not.toBeNull();
  for (const id of [1, 3, 5]) expect(await open.next(isReset(id))).not.toBeNull();
});

test('N15 requests to reflection are read no faster than its answers are', async () => {
  const raw = await connect(await listen());
  const question = Buffer.from([0x3a, 0]);
  raw.send(settings([[setting['initialWindow'], 0]]), headers(1, callFields(REFLECTION)));
  // As many as the window allows. A server that reads all of them would grant more without end.
  // Node itself reads ahead 64 KiB at most.
  raw.send(...Array.from({ length: 9_000 }, () => message(1, question, 0, 0)));
  const seen = new Set<unknown>();
  const isNewGrant = (frame: { type: number; stream: number }) =>
    frame.type === frameType['windowUpdate'] && frame.stream === 1 && !seen.has(frame);
  for (let grant; (grant = await raw.next(isNewGrant, 1_500)) !== null;) {
    seen.add(grant);
    expect(seen.size).toBeLessThan(8);
    raw.send(...Array.from({ length: 4_000 }, () => message(1, question, 0, 0)));
  }
  raw.send(windowUpdate(1, 2 ** 24), windowUpdate(0, 2 ** 24));
  expect(await raw.next(isNewGrant)).not.toBeNull();
});
