import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { TrustUpdate } from '../../../src/generated/postern/v1/trust.ts';
import { EncodedMessage } from '../../../src/rpc/encoded-message.ts';
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
  applyRevocation();
  broadcaster = new TrustBroadcaster(bundle, () => policy);
});
afterEach(() => {
  for (const watcher of watchers) broadcaster.unsubscribe(watcher);
  watchers = [];
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

/** Applies one revocation, after which the bundle is complete up to the next position. */
function applyRevocation(): void {
  position += 1n;
  const revocation = { kind: 'jti', id: `of ${position}`, expiresAtSeconds: 1_000, position } as const;
  const readAtMs = performance.now();
  bundle.applyUpdates({ revocations: [revocation], cursor: position + 1n, complete: true, readAtMs });
}

/** Subscribes, and returns a line with the cursor for each update that is sent. */
function subscribe(): string[] {
  const lines: string[] = [];
  const controller = new AbortController();
  const call = { signal: controller.signal, fail: () => controller.abort() } as unknown as StreamCall;
  const watcher = new SubscriberQueue(call);
  const push = (round: readonly EncodedMessage[]) => {
    for (const { bytes } of round) {
      const { cursor, update } = TrustUpdate.decode(bytes);
      const count = update?.$case === 'revocations' ? ` ${update.value.revocations.length}` : '';
      lines.push(`${cursor} ${update?.$case ?? ''}${count}`);
    }
  };
  jest.spyOn(watcher, 'push').mockImplementation(push);
  jest.spyOn(watcher, 'pushHeartbeat').mockImplementation((encode) => push([encode()]));
  broadcaster.subscribe(watcher);
  watchers.push(watcher);
  return lines;
}

test('S13 no heartbeat has a cursor ahead of the updates sent', () => {
  const lines = Array.from({ length: 1_000 }, subscribe)[0] ?? [];
  jest.advanceTimersByTime(1_950);
  applyRevocation();
  jest.advanceTimersByTime(10);
  applyRevocation();
  expect(lines).toEqual(['1.3 revocations 1']);
  // A thousand watchers are notified at most ten times a second, so the heartbeat comes before the next round.
  jest.advanceTimersByTime(40);
  expect(lines).toEqual(['1.3 revocations 1', '1.4 revocations 1', '1.4 heartbeat']);
});

test('S13 no key update has a cursor ahead of the updates sent', () => {
  const lines = subscribe();
  applyRevocation();
  bundle.replaceKeys(createKeyRing([]));
  expect(lines).toEqual(['1.3 revocations 1', '1.3 keys']);
  // Nothing is left for the send that the revocation scheduled.
  jest.runAllTicks();
  expect(lines).toEqual(['1.3 revocations 1', '1.3 keys']);
});

test('S13 watchers are notified in the same turn of the event loop, before the revoke is answered', () => {
  const lines = subscribe();
  bundle.revoke([{ kind: 'jti', id: 'of 2', expiresAtSeconds: 1_000 }]);
  expect(lines).toEqual([]);
  jest.runAllTicks();
  expect(lines).toEqual(['1.2 revocations 1']);
});

test('simultaneous changes are one update, with each revocation once', () => {
  const lines = subscribe();
  bundle.revoke([{ kind: 'jti', id: 'of 2', expiresAtSeconds: 1_000 }]);
  applyRevocation();
  applyRevocation();
  jest.advanceTimersByTime(1);
  expect(lines).toEqual(['1.4 revocations 2']);
});

test('R50 a round that is larger than the limits ends no stream, also while it is being sent', async () => {
  const fail = jest.fn();
  const queue = new SubscriberQueue({ signal: new AbortController().signal, fail } as unknown as StreamCall);
  const update = new EncodedMessage(Buffer.alloc(64 * 1024));
  const round = Array.from({ length: 40 }, () => update);
  queue.push(round);
  const updates = queue.updates();
  await updates.next();
  queue.push([update]);
  queue.push([update]);
  for (let taken = 1; taken < round.length + 2; taken++) await updates.next();
  expect(fail).not.toHaveBeenCalled();
});

test('R50 a subscriber that reads too slowly loses its stream', () => {
  const fail = jest.fn();
  const queue = new SubscriberQueue({ signal: new AbortController().signal, fail } as unknown as StreamCall);
  const update = new EncodedMessage(Buffer.alloc(64 * 1024));
  for (let pushed = 0; pushed < 16; pushed++) queue.push([update]);
  expect(fail).not.toHaveBeenCalled();
  queue.push([update]);
  expect(fail).toHaveBeenCalledTimes(1);
});

describe('R61 heartbeats', () => {
  /** A subscriber whose updates are read with `next`. */
  const reader = () => {
    const call = { signal: new AbortController().signal, fail: jest.fn() } as unknown as StreamCall;
    const queue = new SubscriberQueue(call);
    broadcaster.subscribe(queue);
    watchers.push(queue);
    const updates = queue.updates();
    return async () => {
      const { value } = await updates.next();
      return value && TrustUpdate.decode(value.bytes).update;
    };
  };

  test('come under constant load, when something is always pending', async () => {
    const others = { push: () => undefined, pushHeartbeat: () => undefined };
    for (let count = 0; count < 1_000; count++) {
      watchers.push({ ...others } as unknown as SubscriberQueue);
      broadcaster.subscribe(watchers.at(-1) as SubscriberQueue);
    }
    const next = reader();
    let heartbeats = 0;
    const read = async () => {
      for (;;) if ((await next())?.$case === 'heartbeat') heartbeats += 1;
    };
    void read();
    for (let passedMs = 0; passedMs < 10_000; passedMs += 10) {
      applyRevocation();
      await jest.advanceTimersByTimeAsync(10);
    }
    expect(heartbeats).toBe(5);
  });

  test('have the age of the moment at which they are sent, and do not pile up', async () => {
    const next = reader();
    applyRevocation();
    jest.runAllTicks();
    expect((await next())?.$case).toBe('revocations');
    jest.advanceTimersByTime(9_000);
    expect(await next()).toMatchObject({ $case: 'heartbeat', value: { newsAgeMs: 9_000 } });
    applyRevocation();
    jest.runAllTicks();
    expect((await next())?.$case).toBe('revocations');
  });
});
