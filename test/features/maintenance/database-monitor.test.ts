import { describe, expect, test } from '@jest/globals';

import { Rejected } from '../../../src/domain/rejection.ts';
import { DatabaseMonitor } from '../../../src/features/maintenance/database-monitor.ts';

/** A monitor whose refreshes are completed by the test. */
function monitorUnderTest() {
  const refreshes: { succeed: () => void; fail: () => void }[] = [];
  const begun: (() => void)[] = [];
  const unavailable = new Rejected({ kind: 'store-unavailable', cause: 'a test', retryAfterMs: 1 });
  const monitor = new DatabaseMonitor({
    prepare: () => Promise.resolve(),
    refresh: () =>
      new Promise<void>((resolve, reject) => {
        refreshes.push({ succeed: resolve, fail: () => reject(unavailable) });
        for (const fail of begun.splice(0)) fail();
      }),
    onChecked: () => undefined,
    report: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
  /** Resolves when this many refreshes have begun. */
  const untilBegun = async (count: number) => {
    while (refreshes.length < count) await new Promise<void>((resolve) => begun.push(resolve));
  };
  const started = async () => {
    const starting = monitor.start();
    await untilBegun(1);
    return { starting, first: at(0) };
  };
  const at = (index: number) => {
    const refresh = refreshes[index];
    if (!refresh) throw new Error(`refresh ${index} has not begun`);
    return refresh;
  };
  return { monitor, refreshes, untilBegun, started, at };
}

const within = (limitMs: number, signal = new AbortController().signal) => ({
  deadlineMs: Date.now() + limitMs,
  signal,
});

/** `served`, or the kind of the rejection. */
const outcomeOf = (waiting: Promise<void>) =>
  waiting.then(
    () => 'served',
    (error: unknown) => (error instanceof Rejected ? error.rejection.kind : String(error)),
  );

describe('S11 a caller who waits for the next refresh', () => {
  test('is not served by a refresh already running, and shares the next one with all waiting callers', async () => {
    const { monitor, refreshes, untilBegun, started, at } = monitorUnderTest();
    const { starting, first } = await started();
    const served: string[] = [];
    const callers = ['one', 'two', 'three'].map((name) =>
      monitor.nextRefresh(within(10_000)).then(() => served.push(name)),
    );
    first.succeed();
    await starting;
    await untilBegun(2);
    expect(served).toEqual([]);
    // A caller that arrives while it runs gets the one after it.
    const late = monitor.nextRefresh(within(10_000)).then(() => served.push('late'));
    at(1).succeed();
    await Promise.all(callers);
    expect(served).toEqual(['one', 'two', 'three']);
    await untilBegun(3);
    at(2).succeed();
    await late;
    expect(refreshes).toHaveLength(3);
    monitor.stop();
  });

  test('is served by the first refresh that succeeds, or refused at its deadline', async () => {
    const { monitor, untilBegun, started, at } = monitorUnderTest();
    const { starting, first } = await started();
    const patient = outcomeOf(monitor.nextRefresh(within(10_000)));
    const hurried = outcomeOf(monitor.nextRefresh({ ...within(10_000), storeDeadlineMs: Date.now() + 50 }));
    first.succeed();
    await starting;
    await untilBegun(2);
    at(1).fail();
    await untilBegun(3);
    expect(await hurried).toBe('trust-stale');
    at(2).succeed();
    expect(await patient).toBe('served');
    monitor.stop();
  });

  test('brings a refresh forward at most once a second', async () => {
    const { monitor, refreshes, untilBegun, started, at } = monitorUnderTest();
    const { starting, first } = await started();
    first.succeed();
    await starting;
    const beganMs: number[] = [performance.now()];
    for (let round = 1; round <= 3; round += 1) {
      const waiting = monitor.nextRefresh(within(10_000));
      await untilBegun(round + 1);
      beganMs.push(performance.now());
      at(round).succeed();
      await waiting;
    }
    expect(refreshes).toHaveLength(4);
    // The first is brought forward; the others run on schedule, each half a second later.
    const [start = 0, , , last = 0] = beganMs;
    expect(last - start).toBeGreaterThan(900);
    monitor.stop();
  });

  test('stops waiting when cancelled, and is refused beside a thousand others', async () => {
    const { monitor, started } = monitorUnderTest();
    const { starting, first } = await started();
    const callers = new AbortController();
    const outcomes = Array.from({ length: 1_000 }, () =>
      outcomeOf(monitor.nextRefresh(within(10_000, callers.signal))),
    );
    expect(await outcomeOf(monitor.nextRefresh(within(10_000)))).toBe('server-overloaded');
    callers.abort();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['cancelled']));
    const now = outcomeOf(monitor.nextRefresh(within(20)));
    expect(await now).toBe('trust-stale');
    expect(await outcomeOf(monitor.nextRefresh(within(10_000, callers.signal)))).toBe('cancelled');
    first.succeed();
    await starting;
    monitor.stop();
  });
});
