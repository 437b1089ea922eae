import { describe, expect, test } from '@jest/globals';

import { Rejected } from '../../../src/domain/rejection.ts';
import { DatabaseMonitor } from '../../../src/features/maintenance/database-monitor.ts';

/** A watch whose refreshes end when, and as, the test says. */
function watchUnderTest() {
  const refreshes: { succeed: () => void; fail: () => void }[] = [];
  const begun: (() => void)[] = [];
  const away = new Rejected({ kind: 'store-unavailable', cause: 'a test', retryAfterMs: 1 });
  const watch = new DatabaseMonitor({
    prepare: () => Promise.resolve(),
    refresh: () =>
      new Promise<void>((resolve, reject) => {
        refreshes.push({ succeed: resolve, fail: () => reject(away) });
        for (const fail of begun.splice(0)) fail();
      }),
    onChecked: () => undefined,
    report: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
  /** Resolves when as many refreshes have begun. */
  const untilBegun = async (count: number) => {
    while (refreshes.length < count) await new Promise<void>((resolve) => begun.push(resolve));
  };
  const started = async () => {
    const starting = watch.start();
    await untilBegun(1);
    return { starting, first: at(0) };
  };
  const at = (index: number) => {
    const refresh = refreshes[index];
    if (!refresh) throw new Error(`refresh ${index} has not begun`);
    return refresh;
  };
  return { watch, refreshes, untilBegun, started, at };
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
  test('is not served by one that had begun before, and shares the next with everybody', async () => {
    const { watch, refreshes, untilBegun, started, at } = watchUnderTest();
    const { starting, first } = await started();
    const served: string[] = [];
    const callers = ['one', 'two', 'three'].map((name) =>
      watch.nextRefresh(within(10_000)).then(() => served.push(name)),
    );
    first.succeed();
    await starting;
    await untilBegun(2);
    expect(served).toEqual([]);
    // Who comes while it runs takes the one after it.
    const late = watch.nextRefresh(within(10_000)).then(() => served.push('late'));
    at(1).succeed();
    await Promise.all(callers);
    expect(served).toEqual(['one', 'two', 'three']);
    await untilBegun(3);
    at(2).succeed();
    await late;
    expect(refreshes).toHaveLength(3);
    watch.stop();
  });

  test('is served by the first that succeeds, and hears of none within its time', async () => {
    const { watch, untilBegun, started, at } = watchUnderTest();
    const { starting, first } = await started();
    const waiting80 = outcomeOf(watch.nextRefresh(within(10_000)));
    const hurried = outcomeOf(watch.nextRefresh({ ...within(10_000), storeDeadlineMs: Date.now() + 50 }));
    first.succeed();
    await starting;
    await untilBegun(2);
    at(1).fail();
    await untilBegun(3);
    expect(await hurried).toBe('trust-stale');
    at(2).succeed();
    expect(await waiting80).toBe('served');
    watch.stop();
  });

  test('makes refreshes begin sooner no more than once a second', async () => {
    const { watch, refreshes, untilBegun, started, at } = watchUnderTest();
    const { starting, first } = await started();
    first.succeed();
    await starting;
    const beganMs: number[] = [performance.now()];
    for (let round = 1; round <= 3; round += 1) {
      const waiting = watch.nextRefresh(within(10_000));
      await untilBegun(round + 1);
      beganMs.push(performance.now());
      at(round).succeed();
      await waiting;
    }
    expect(refreshes).toHaveLength(4);
    // The first is brought forward; the others come when they come anyhow, each half a second later.
    const [start = 0, , , last = 0] = beganMs;
    expect(last - start).toBeGreaterThan(900);
    watch.stop();
  });

  test('leaves when its caller does, and finds no room beside a thousand others', async () => {
    const { watch, started } = watchUnderTest();
    const { starting, first } = await started();
    const callers = new AbortController();
    const outcomes = Array.from({ length: 1_000 }, () =>
      outcomeOf(watch.nextRefresh(within(10_000, callers.signal))),
    );
    expect(await outcomeOf(watch.nextRefresh(within(10_000)))).toBe('server-overloaded');
    callers.abort();
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['cancelled']));
    const now = outcomeOf(watch.nextRefresh(within(20)));
    expect(await now).toBe('trust-stale');
    expect(await outcomeOf(watch.nextRefresh(within(10_000, callers.signal)))).toBe('cancelled');
    first.succeed();
    await starting;
    watch.stop();
  });
});
