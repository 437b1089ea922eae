import { EventEmitter } from 'node:events';

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

import type { TrustServiceClient, TrustUpdate } from '../../src/generated/postern/v1/trust.ts';
import { bytesOfUuid } from '../../src/domain/uuid.ts';
import { generateSigningKey } from '../../src/tokens/issue/signing-key.ts';
import { RelayPath } from '../../src/trust/relay-path.ts';
import { RelayedStream } from '../../src/trust/relayed-stream.ts';
import { StreamTrustSource, type WatchCredential } from '../../src/trust/stream-trust-source.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';

class FakeStream extends EventEmitter {
  readonly cursor: string;
  readonly cancel = jest.fn();

  constructor(cursor: string) {
    super();
    this.cursor = cursor;
  }

  send(cursor: string, update: TrustUpdate['update']): void {
    this.emit('data', { cursor, update } satisfies TrustUpdate);
  }
}

const nowMs = 1_800_000_000_000;
const { publicJwk } = await generateSigningKey('ES256');
const keys: TrustUpdate['update'] = {
  $case: 'keys',
  value: {
    jwks: JSON.stringify({ keys: [publicJwk] }),
    issuer: 'i',
    audiences: ['a'],
    maxLifetime: 600,
    clockSkew: 5,
  },
};
const revocations = (id: string, expiresAt: number): TrustUpdate['update'] => ({
  $case: 'revocations',
  value: {
    revocations: [{ revoked: { $case: 'tokenId', value: id }, expiresAt }],
    complete: true,
    snapshot: false,
  },
});
const heartbeat = (relayPath: Buffer[] = []): TrustUpdate['update'] => ({
  $case: 'heartbeat',
  value: { newsAgeMs: 0, relayPath },
});

let streams: FakeStream[];
let bundle: TrustBundle;
let path: RelayPath;
let aheadMs: number;
let source: StreamTrustSource;
/** Keys are imported in a thread. */
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
};

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  streams = [];
  bundle = new TrustBundle();
  path = new RelayPath();
  aheadMs = 0;
});
afterEach(() => {
  source.stop();
  jest.useRealTimers();
});

/** Starts a source, which gets its first list. */
async function start(isRelay: boolean, credential: WatchCredential | null = null): Promise<FakeStream> {
  const watchTrust = ({ cursor }: { cursor: string }) => {
    const stream = new FakeStream(cursor);
    streams.push(stream);
    return stream;
  };
  source = new StreamTrustSource({
    client: { watchTrust } as unknown as TrustServiceClient,
    bundle,
    credential,
    report: () => undefined,
    relay: isRelay ? { path, stream: new RelayedStream(bundle) } : null,
    nowMs: () => nowMs + aheadMs,
  });
  source.start();
  await until(() => streams.length === 1);
  const stream = streams[0] as FakeStream;
  stream.send('', keys);
  stream.send('1.5', revocations('first', nowMs / 1000 + 60));
  stream.send('1.5', heartbeat());
  await until(() => bundle.loaded);
  return stream;
}

test.each([false, true])(
  'S17 what waited behind keys while the clock was set back does not count as read anew (relay: %s)',
  async (isRelay) => {
    const stream = await start(isRelay);
    stream.send('', keys);
    aheadMs = -60_000;
    jest.advanceTimersByTime(1_000);
    stream.send('1.9', revocations('later', nowMs / 1000 + 60));
    stream.send('1.9', heartbeat());
    await until(() => stream.cancel.mock.calls.length > 0);
    jest.advanceTimersByTime(100);
    await until(() => streams.length === 2);
    expect([streams[1]?.cursor, bundle.loaded, bundle.isTokenIdRevoked('later')]).toEqual(['', false, true]);
  },
);

test.each([false, true])(
  'R62 a relay whose clock is ahead keeps a revocation for its watchers (relay: %s)',
  async (isRelay) => {
    await start(isRelay);
    aheadMs = 600_000;
    jest.advanceTimersByTime(1_000);
    expect(bundle.isTokenIdRevoked('first')).toBe(isRelay);
    aheadMs = 661_000;
    jest.advanceTimersByTime(1_000);
    expect(bundle.isTokenIdRevoked('first')).toBe(false);
  },
);

test('R13 a stream that is being replaced, and comes through this relay, ends alone', async () => {
  const next = () =>
    Promise.resolve({ authorization: 'Bearer x', renewAtMs: streams.length === 0 ? 500 : Infinity });
  const stream = await start(true, { next, forget: () => undefined });
  jest.advanceTimersByTime(500);
  await until(() => streams.length === 2);
  stream.send('1.5', heartbeat([bytesOfUuid(path.id)]));
  expect([stream.cancel.mock.calls.length, streams[1]?.cancel.mock.calls.length]).toEqual([1, 0]);
});
