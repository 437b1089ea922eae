import { getEventListeners } from 'node:events';

import { expect, test } from '@jest/globals';

import { sleepUnlessAborted } from '../../../src/domain/concurrency/sleep.ts';

const LONG_MS = 60_000;

test('lasts for the given time, with or without a signal, and removes its listener from the signal', async () => {
  const { signal } = new AbortController();
  const startMs = performance.now();
  await sleepUnlessAborted(20, undefined);
  await sleepUnlessAborted(20, signal, { ref: false });
  // Node's timers may be a millisecond early.
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(38);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('ends when the signal aborts, and returns at once when it has aborted before', async () => {
  const stop = new AbortController();
  const startMs = performance.now();
  const asleep = sleepUnlessAborted(LONG_MS, stop.signal);
  stop.abort();
  await asleep;
  await sleepUnlessAborted(LONG_MS, stop.signal);
  expect(performance.now() - startMs).toBeLessThan(LONG_MS / 2);
});
