import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Rejected, type Rejection } from '../../src/domain/rejection.ts';
import { HashQueue } from '../../src/passwords/hashing/hash-queue.ts';
import { waitingCaller } from './waiting-caller.ts';

/** Jobs are names; each runs until the test ends it. The clock moves only when the test moves it. */
function queueWith(options: { concurrency: number; maxQueued: number }) {
  const started: string[] = [];
  const ends = new Map<string, { answer: (workMs: number) => void; crash: (error: Error) => void }>();
  const queue = new HashQueue<string, { workMs: number }>({
    ...options,
    now: Date.now,
    run: (job) => {
      started.push(job);
      return new Promise((resolve, reject) => {
        ends.set(job, { answer: (workMs) => resolve({ workMs }), crash: reject });
      });
    },
  });
  const end = async (job: string, workMs = 10) => {
    ends.get(job)?.answer(workMs);
    await settled();
  };
  const crash = async (job: string) => {
    ends.get(job)?.crash(new Error('gone'));
    await settled();
  };
  return { queue, started, end, crash };
}

/** Runs the callbacks of all settled promises. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

/** The rejection of a promise; a promise that is not rejected fails the test. */
async function refusalOf(promise: Promise<unknown>): Promise<Rejection> {
  const error: unknown = await promise.then(
    () => 'an answer',
    (reason: unknown) => reason,
  );
  if (!(error instanceof Rejected)) throw new Error('not refused', { cause: error });
  return error.rejection;
}

beforeEach(() => {
  jest.useFakeTimers({ now: 1_000_000, doNotFake: ['nextTick', 'queueMicrotask'] });
});
afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('waiting', () => {
  test('L13 runs as many jobs as there are permits, and the others in order of arrival', async () => {
    const { queue, started, end } = queueWith({ concurrency: 2, maxQueued: 10 });
    const answers = ['a', 'b', 'c', 'd'].map((job) => queue.submit(job, waitingCaller()));
    expect(started).toEqual(['a', 'b']);
    expect(queue.load).toMatchObject({ running: 2, queued: 2 });
    await end('b');
    expect(started).toEqual(['a', 'b', 'c']);
    await end('a');
    expect(started).toEqual(['a', 'b', 'c', 'd']);
    await end('c');
    await end('d');
    await Promise.all(answers);
    expect(queue.load).toEqual({ running: 0, queued: 0, averageMs: 10 });
  });

  test('L13 refuses at once when the queue is full, with a retry delay', async () => {
    const { queue, end } = queueWith({ concurrency: 1, maxQueued: 2 });
    const first = queue.submit('a', waitingCaller());
    await end('a', 100);
    await first;
    const waiting = ['b', 'c', 'd'].map((job) => queue.submit(job, waitingCaller()));
    expect(await refusalOf(queue.submit('e', waitingCaller()))).toEqual({
      kind: 'server-overloaded',
      cause: 'queue-full',
      retryAfterMs: 300,
    });
    for (const job of ['b', 'c', 'd']) await end(job);
    await Promise.all(waiting);
  });

  test('L13 refuses at once a job that would end after its deadline', async () => {
    const { queue, started, end } = queueWith({ concurrency: 2, maxQueued: 100 });
    const warm = queue.submit('warm', waitingCaller());
    await end('warm', 100);
    await warm;
    const running = ['a', 'b', 'c', 'd'].map((job) => queue.submit(job, waitingCaller()));
    // Two run and two wait: the next one waits for two jobs of 100 ms and needs as long for itself.
    const refused = queue.submit('late', waitingCaller({ deadlineMs: Date.now() + 299 }));
    expect(await refusalOf(refused)).toMatchObject({
      kind: 'server-overloaded',
      cause: 'deadline-too-close',
    });
    const accepted = queue.submit('in time', waitingCaller({ deadlineMs: Date.now() + 300 }));
    for (const job of ['a', 'b', 'c', 'd', 'in time']) await end(job);
    await Promise.all([...running, accepted]);
    expect(started).not.toContain('late');
  });

  test('L13 a free permit is granted regardless of the average duration, so that the average can fall', async () => {
    const { queue, end } = queueWith({ concurrency: 1, maxQueued: 10 });
    const slow = queue.submit('slow', waitingCaller());
    await end('slow', 60_000);
    await slow;
    const quick = queue.submit('quick', waitingCaller({ deadlineMs: Date.now() + 20 }));
    await end('quick', 10);
    expect(await quick).toEqual({ workMs: 10 });
    expect(queue.load.averageMs).toBeLessThan(60_000);
  });

  test('L13 gives no permit to a waiting job that can no longer meet its deadline', async () => {
    const { queue, started, end } = queueWith({ concurrency: 1, maxQueued: 10 });
    const warm = queue.submit('warm', waitingCaller());
    await end('warm', 10);
    await warm;
    const running = queue.submit('a', waitingCaller());
    const tooLate = refusalOf(queue.submit('b', waitingCaller({ deadlineMs: Date.now() + 25 })));
    const undisturbed = queue.submit('c', waitingCaller());
    jest.advanceTimersByTime(20);
    await end('a', 10);
    expect(await tooLate).toMatchObject({ kind: 'server-overloaded' });
    expect(started).toEqual(['warm', 'a', 'c']);
    await end('c');
    await Promise.all([running, undisturbed]);
  });
});

describe('leaving', () => {
  test('L14 a cancelled caller leaves the queue at once', async () => {
    const { queue, started, end } = queueWith({ concurrency: 1, maxQueued: 1 });
    const running = queue.submit('a', waitingCaller());
    const left = new AbortController();
    const cancelled = refusalOf(queue.submit('b', waitingCaller({ signal: left.signal })));
    left.abort();
    expect(queue.load.queued).toBe(0);
    expect(await cancelled).toEqual({ kind: 'cancelled' });
    const next = queue.submit('c', waitingCaller());
    await end('a');
    await end('c');
    await Promise.all([running, next]);
    expect(started).toEqual(['a', 'c']);
  });

  test('L14 a caller whose deadline passes leaves the queue at that moment', async () => {
    const { queue, started, end } = queueWith({ concurrency: 1, maxQueued: 1 });
    const running = queue.submit('a', waitingCaller());
    const expired = refusalOf(queue.submit('b', waitingCaller({ deadlineMs: Date.now() + 500 })));
    jest.advanceTimersByTime(499);
    expect(queue.load.queued).toBe(1);
    jest.advanceTimersByTime(1);
    expect(queue.load.queued).toBe(0);
    expect(await expired).toEqual({ kind: 'deadline-exceeded' });
    await end('a');
    await running;
    expect(started).toEqual(['a']);
  });

  test('a signal aborted by the deadline is not reported as cancelled', async () => {
    const { queue, end } = queueWith({ concurrency: 1, maxQueued: 1 });
    const running = queue.submit('a', waitingCaller());
    const budget = new AbortController();
    const expired = refusalOf(
      queue.submit('b', waitingCaller({ signal: budget.signal, deadlineMs: Date.now() + 500 })),
    );
    jest.setSystemTime(Date.now() + 500);
    budget.abort();
    expect(await expired).toEqual({ kind: 'deadline-exceeded' });
    await end('a');
    await running;
  });

  test.each([
    ['the caller cancels', (left: AbortController) => left.abort()],
    ['the deadline passes', () => jest.advanceTimersByTime(500)],
  ])('L09 L14 a running job keeps its permit and returns its result when %s', async (_how, cancel) => {
    const { queue, started, end } = queueWith({ concurrency: 1, maxQueued: 5 });
    const left = new AbortController();
    const abandoned = queue.submit('a', waitingCaller({ signal: left.signal, deadlineMs: Date.now() + 500 }));
    const next = queue.submit('b', waitingCaller());
    cancel(left);
    await settled();
    expect(started).toEqual(['a']);
    expect(queue.load).toMatchObject({ running: 1, queued: 1 });
    await end('a', 7);
    expect(await abandoned).toEqual({ workMs: 7 });
    expect(started).toEqual(['a', 'b']);
    await end('b');
    await next;
  });

  test('a caller cancelled before the call is refused', async () => {
    const { queue, started } = queueWith({ concurrency: 1, maxQueued: 5 });
    expect(await refusalOf(queue.submit('a', waitingCaller({ signal: AbortSignal.abort() })))).toEqual({
      kind: 'cancelled',
    });
    expect(await refusalOf(queue.submit('a', waitingCaller({ deadlineMs: Date.now() })))).toEqual({
      kind: 'deadline-exceeded',
    });
    expect(started).toEqual([]);
  });
});

describe('ending', () => {
  test('a job that fails is rejected with its error and gives its permit back', async () => {
    const { queue, started, end, crash } = queueWith({ concurrency: 1, maxQueued: 5 });
    const failing = queue.submit('a', waitingCaller());
    const next = queue.submit('b', waitingCaller());
    const outcome = expect(failing).rejects.toThrow('gone');
    await crash('a');
    await outcome;
    expect(started).toEqual(['a', 'b']);
    await end('b');
    await next;
  });

  test('closing refuses waiting and new jobs, and waits for running ones', async () => {
    const { queue, end } = queueWith({ concurrency: 1, maxQueued: 5 });
    const running = queue.submit('a', waitingCaller());
    const waiting = refusalOf(queue.submit('b', waitingCaller()));
    let closed = false;
    const closing = queue.close().then(() => (closed = true));
    expect(await waiting).toMatchObject({ kind: 'shutting-down' });
    expect(await refusalOf(queue.submit('c', waitingCaller()))).toMatchObject({ kind: 'shutting-down' });
    expect(closed).toBe(false);
    await end('a');
    expect(await running).toEqual({ workMs: 10 });
    await closing;
  });
});
