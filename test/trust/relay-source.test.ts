import { randomUUID } from 'node:crypto';

import { credentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from '@jest/globals';

import { bytesOfUuid } from '../../src/domain/uuid.ts';
import {
  TrustServiceClient,
  TrustServiceService,
  type TrustUpdate,
} from '../../src/generated/postern/v1/trust.ts';
import { generateSigningKey } from '../../src/tokens/issue/signing-key.ts';
import { RelayedStream } from '../../src/trust/relayed-stream.ts';
import { RelayPath } from '../../src/trust/relay-path.ts';
import { type SourceEvent, StreamTrustSource } from '../../src/trust/stream-trust-source.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';
import { formatCursor } from '../../src/trust/trust-cursor.ts';
import { startBareListener } from '../support/bare-listener.ts';
import { until } from '../support/wait-for.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const { publicJwk } = await generateSigningKey('ES256');
const keys: TrustUpdate = {
  cursor: '',
  update: {
    $case: 'keys',
    value: {
      jwks: JSON.stringify({ keys: [publicJwk] }),
      issuer: 'i',
      audiences: ['a'],
      maxLifetime: 600,
      clockSkew: 5,
    },
  },
};
const list = (cursor: string, snapshot: boolean): TrustUpdate => ({
  cursor,
  update: { $case: 'revocations', value: { revocations: [], snapshot, complete: true } },
});
const heartbeat = (position: bigint, relayPath: readonly string[] = []): TrustUpdate => ({
  cursor: formatCursor(position),
  update: { $case: 'heartbeat', value: { newsAgeMs: 0, relayPath: relayPath.map(bytesOfUuid) } },
});

/** A relay whose upstream answers each call with the next of these streams; the last one stays open. */
async function relayOf(streams: readonly (readonly TrustUpdate[])[], bundle = new TrustBundle()) {
  const cursors: string[] = [];
  const upstream = await startBareListener({
    services: (add) =>
      add(TrustServiceService, {
        resolveApiKey: () => Promise.reject(new Error('no API keys here')),
        async *watchTrust({ cursor }, call) {
          cursors.push(cursor);
          yield* streams[cursors.length - 1] ?? [];
          if (cursors.length >= streams.length)
            await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
        },
      }),
    guard: {
      authenticate: () => Promise.resolve({ type: 'service', id: 'one', roles: [], claims: null } as never),
      writeAudit: () => Promise.resolve(),
      refusals: { take: () => null, missed: () => undefined },
      onAuditWriteFailed: () => undefined,
      onForwarderRefused: () => undefined,
      onRefusedAfterEnd: () => undefined,
    },
  });
  cleanups.push(() => upstream.stop());
  const client = new TrustServiceClient(upstream.address, credentials.createInsecure());
  cleanups.push(() => client.close());
  const events: SourceEvent[] = [];
  const source = new StreamTrustSource({
    client,
    bundle,
    credential: null,
    report: (event) => events.push(event),
    relay: { path: new RelayPath(), stream: new RelayedStream(bundle) },
  });
  source.start();
  cleanups.push(() => source.stop());
  return { bundle, events, cursors };
}

test.each([
  ['read right after it', 0, null],
  ['read later', 3_000, []],
])(
  'R10 a further full list makes earlier cursors invalid at a relay, and a heartbeat moves its cursor: %s',
  async (_what, listAgeMs, missed) => {
    const lists = [list(formatCursor(50n), true), list(formatCursor(60n), true)];
    const updates = [keys, ...lists, heartbeat(70n), heartbeat(80n)];
    const { bundle } = await relayOf([updates], new TrustBundle(() => performance.now() - listAgeMs));
    await until(() => bundle.cursor === 80n, 'the heartbeats have come');
    expect([bundle.missedSince(60n), bundle.missedSince(70n)]).toEqual([null, null]);
    expect(bundle.missedSince(71n)).toEqual(missed);
  },
);

test('R13 a relay takes nothing from an upstream that it must leave', async () => {
  const tooLong = Array.from({ length: 4 }, () => randomUUID());
  const { bundle, events } = await relayOf([[list(formatCursor(50n), true), heartbeat(60n, tooLong)], []]);
  await until(() => events.some(({ kind }) => kind === 'disconnected'), 'the relay has left');
  expect(bundle.cursor).toBe(50n);
});

test('R10 what has a cursor of an unknown form counts as not received, and is asked for again', async () => {
  const { bundle, events, cursors } = await relayOf([
    [list(formatCursor(50n), true), list('v9.x', false)],
    [],
  ]);
  await until(() => cursors.length === 2, 'the relay has asked again');
  expect(cursors).toEqual(['', formatCursor(50n)]);
  expect(bundle.cursor).toBe(50n);
  expect(events.map(({ kind }) => kind)).toContain('unusable');
});
