import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

import { TrustUpdate } from '../../../src/generated/postern/v1/trust.ts';
import type { StreamCall } from '../../../src/rpc/handlers.ts';
import { TrustBroadcaster } from '../../../src/services/trust/trust-broadcaster.ts';
import { SubscriberQueue } from '../../../src/services/trust/subscriber-queue.ts';
import { createKeyRing } from '../../../src/tokens/verify/key-ring.ts';
import { TrustBundle } from '../../../src/trust/trust-bundle.ts';

const policy = { issuer: 'i', audiences: ['a'], maxLifetimeSeconds: 600, skewSeconds: 5 };
let bundle: TrustBundle;
let broadcaster: TrustBroadcaster;
let position = 0n;
let watchers: SubscriberQueue[] = [];

beforeEach(() => {
  jest.useFakeTimers();
  bundle = new TrustBundle();
  bundle.replaceKeys(createKeyRing([]));
  position = 0n;
  take();
  broadcaster = new TrustBroadcaster(bundle, policy);
});
afterEach(() => {
  for (const watcher of watchers) broadcaster.unsubscribe(watcher);
  watchers = [];
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

/** One revocation, after which the bundle knows everything before the next place. */
function take(): void {
  position += 1n;
  const revocation = { kind: 'jti', id: `of ${position}`, expiresAtSeconds: 1_000, position } as const;
  const readAtMs = performance.now();
  bundle.applyUpdates({ revocations: [revocation], cursor: position + 1n, complete: true, readAtMs });
}

/** Joins, and says what the watcher was told: a line with the cursor for each update. */
function joined(): string[] {
  const lines: string[] = [];
  const controller = new AbortController();
  const call = { signal: controller.signal, fail: () => controller.abort() } as unknown as StreamCall;
  const watcher = new SubscriberQueue(call);
  jest.spyOn(watcher, 'push').mockImplementation(({ bytes }) => {
    const { cursor, update } = TrustUpdate.decode(bytes);
    const count = update?.$case === 'revocations' ? ` ${update.value.revocations.length}` : '';
    lines.push(`${cursor} ${update?.$case ?? ''}${count}`);
  });
  broadcaster.subscribe(watcher);
  watchers.push(watcher);
  return lines;
}

test('S13 no heartbeat has a cursor that is ahead of what was told', () => {
  const lines = Array.from({ length: 1_000 }, joined)[0] ?? [];
  jest.advanceTimersByTime(1_950);
  take();
  jest.advanceTimersByTime(10);
  take();
  expect(lines).toEqual(['1.3 revocations 1']);
  // A thousand watchers are told ten times a second at most, so the heartbeat comes before the next round.
  jest.advanceTimersByTime(40);
  expect(lines).toEqual(['1.3 revocations 1', '1.4 revocations 1', '1.4 heartbeat']);
});

test('S13 no keys have a cursor that is ahead of what was told', () => {
  const lines = joined();
  take();
  bundle.replaceKeys(createKeyRing([]));
  expect(lines).toEqual(['1.3 revocations 1', '1.3 keys']);
  // Nothing is left for the turn that the revocation asked for.
  jest.runAllTicks();
  expect(lines).toEqual(['1.3 revocations 1', '1.3 keys']);
});

test('S13 watchers are told before the event loop turns, so that who revoked is not answered before', () => {
  const lines = joined();
  bundle.revoke([{ kind: 'jti', id: 'of 2', expiresAtSeconds: 1_000 }]);
  expect(lines).toEqual([]);
  jest.runAllTicks();
  expect(lines).toEqual(['1.2 revocations 1']);
});

test('what comes in one moment is one update, each revocation once', () => {
  const lines = joined();
  bundle.revoke([{ kind: 'jti', id: 'of 2', expiresAtSeconds: 1_000 }]);
  take();
  take();
  jest.advanceTimersByTime(1);
  expect(lines).toEqual(['1.4 revocations 2']);
});
