import { expect, test } from '@jest/globals';

import { ConcurrencyLimit } from '../../../src/domain/concurrency/concurrency-limit.ts';
import { RefusalPacer } from '../../../src/domain/concurrency/refusal-pacer.ts';
import { Rejected } from '../../../src/domain/rejection.ts';

const never = () => new Promise<never>(() => undefined);
const call = (leftMs: number) => ({ deadlineMs: Date.now() + leftMs });

async function refusalOf(refused: Promise<unknown>) {
  const error = await refused.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Rejected) || error.rejection.kind !== 'server-overloaded')
    throw new Error('the call was not refused');
  return error.rejection;
}

test('L13 a call over the limit is refused without running, and one after another has ended is not', async () => {
  const limit = new ConcurrencyLimit(1, () => 0);
  let end = (): void => undefined;
  const first = limit.run(() => new Promise<void>((resolve) => (end = resolve)), call(5_000));
  const { cause } = await refusalOf(limit.run(() => Promise.reject(new Error('it ran')), call(5_000)));
  expect(cause).toBe('the limit of 1 concurrent calls of this kind is reached');
  end();
  await first;
  expect(await limit.run(() => Promise.resolve('done'), call(5_000))).toBe('done');
});

test('L13 a call that would be too late behind the others is refused without running', () => {
  const limit = new ConcurrencyLimit(10, (callsBefore) => callsBefore * 1_000);
  const isAdmitted = (leftMs: number) => {
    let ran = false;
    limit
      .run(() => {
        ran = true;
        return never();
      }, call(leftMs))
      .catch(() => undefined);
    return ran;
  };
  expect([isAdmitted(1), isAdmitted(500), isAdmitted(1_500), isAdmitted(1_500), isAdmitted(5_000)]).toEqual([
    true,
    false,
    true,
    false,
    true,
  ]);
});

test('L13 the retry delays of refused calls are at least the time that those before them take, and are spread', async () => {
  const limit = new ConcurrencyLimit(1, (callsBefore) => callsBefore * 3_000);
  void limit.run(never, call(5_000));
  const delays: number[] = [];
  while (delays.length < 20) {
    const { retryAfterMs } = await refusalOf(limit.run(never, call(5_000)));
    delays.push(retryAfterMs);
  }
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(3_000);
  expect(Math.max(...delays)).toBeLessThanOrEqual(6_000);
  expect(new Set(delays).size).toBeGreaterThan(10);
});

/** The delays of that many refusals in the same moment, none of which ends. */
function delaysOf(count: number, patienceMs = Infinity, pacer = new RefusalPacer(), nowMs = 1_000): number[] {
  return Array.from({ length: count }, () => {
    let chosenMs = 0;
    void pacer.delay(nowMs, patienceMs, (delayMs) => {
      chosenMs = delayMs;
      return never();
    });
    return chosenMs;
  });
}

test('L15 of many refusals the first 20 are answered at once, and then at most four in 20 ms, each after a second at most', () => {
  const delays = delaysOf(220);
  expect(delays.filter((delayMs) => delayMs === 0)).toHaveLength(21);
  expect(delays).toEqual(delays.toSorted((one, other) => one - other));
  const inSlot = new Map<number, number>();
  for (const delayMs of delays.slice(21)) {
    expect(delayMs % 20).toBe(0);
    inSlot.set(delayMs, (inSlot.get(delayMs) ?? 0) + 1);
  }
  expect(Math.max(...inSlot.values())).toBe(4);
  expect(delays.at(-1)).toBe(1_000);
});

test('L15 refusals that come in at a lower rate are not delayed, and a flood has no effect after a second', () => {
  const pacer = new RefusalPacer();
  const slowly = Array.from({ length: 400 }, (_, at) => delaysOf(1, Infinity, pacer, at * 5)).flat();
  expect(slowly).toEqual(slowly.map(() => 0));
  expect(delaysOf(600, Infinity, pacer, 10_000).at(-1)).toBe(1_000);
  expect(delaysOf(1, Infinity, pacer, 11_200)).toEqual([0]);
});

test('L15 a refusal takes at most half of the time that its caller waits', () => {
  expect(Math.max(...delaysOf(300, 200))).toBe(100);
  expect(Math.max(...delaysOf(300, 0))).toBe(0);
  expect(Math.max(...delaysOf(300, -10))).toBe(0);
});

test('L15 at most 2,048 refusals are held at the same time, and one that ends makes room for another', async () => {
  const pacer = new RefusalPacer();
  const delayed = delaysOf(3_000, Infinity, pacer).filter((delayMs) => delayMs > 0);
  expect(delayed).toHaveLength(2_048);

  const other = new RefusalPacer();
  delaysOf(21 + 2_047, Infinity, other);
  let end = (): void => undefined;
  const last = other.delay(1_000, Infinity, () => new Promise<void>((resolve) => (end = resolve)));
  expect(delaysOf(1, Infinity, other)).toEqual([0]);
  end();
  await last;
  expect(delaysOf(1, Infinity, other)).toEqual([1_000]);
});
