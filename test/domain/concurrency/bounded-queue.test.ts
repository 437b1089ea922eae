import { expect, test } from '@jest/globals';

import { BoundedQueue, type QueueRules } from '../../../src/domain/concurrency/bounded-queue.ts';
import { KeyedLimiter } from '../../../src/domain/concurrency/keyed-limiter.ts';

/** A queue whose jobs end when `end` is called. `log` has the started jobs, `leaves` the watched waiting ones. */
function queueOf(rules: Partial<QueueRules<string>> = {}) {
  const log: string[] = [];
  const leaves = new Map<string, (why: Error) => void>();
  const ends = new Map<string, () => void>();
  const queue = new BoundedQueue<string>({
    concurrency: 1,
    waitingLimit: { max: 2, whenFull: () => new Error('full') },
    watch: (name, leave) => {
      leaves.set(name, leave);
      return () => leaves.delete(name);
    },
    ...rules,
  });
  const work = (name: string) => () => {
    log.push(name);
    return new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
  };
  const run = (name: string) => queue.run(work(name), name);
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  const end = async (name: string) => {
    ends.get(name)?.();
    await settled();
  };
  return { queue, log, leaves, run, end, settled };
}

test('starts jobs at once while there is room, then first come, first served, and refuses any more than maxWaiting', async () => {
  const { queue, log, leaves, run, end } = queueOf({ concurrency: 2 });
  const all = ['a', 'b', 'c', 'd'].map(run);
  expect(log).toEqual(['a', 'b']);
  expect([...leaves.keys()]).toEqual(['c', 'd']);
  await expect(run('e')).rejects.toThrow('full');
  await end('b');
  expect(log).toEqual(['a', 'b', 'c']);
  expect([queue.running, queue.waiting, queue.ended]).toEqual([2, 1, 1]);
  for (const name of ['a', 'c', 'd']) await end(name);
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd']);
  expect([queue.running, queue.waiting, leaves.size]).toEqual([0, 0, 0]);
});

test('a job that leaves frees its place at once and is not run', async () => {
  const { queue, log, leaves, run, end } = queueOf();
  const running = run('a');
  const [leaving, staying] = [run('b'), run('c')];
  leaves.get('b')?.(new Error('gone'));
  await expect(leaving).rejects.toThrow('gone');
  expect([queue.waiting, [...leaves.keys()]]).toEqual([1, ['c']]);
  await end('a');
  await end('c');
  await Promise.all([running, staying]);
  expect(log).toEqual(['a', 'c']);
});

test('skips a job that the recheck refuses, and queues none whose watch throws', async () => {
  const { queue, leaves, run, end } = queueOf({
    recheck: (name) => (name === 'b' ? new Error('too late') : undefined),
  });
  const calls = ['a', 'b', 'c'].map(run);
  await end('a');
  await expect(calls[1]).rejects.toThrow('too late');
  expect([queue.running, queue.waiting, leaves.size]).toEqual([1, 0, 0]);
  await end('c');
  expect(await calls[2]).toBe('c');

  const strict = queueOf({
    watch: () => {
      throw new Error('no time');
    },
  });
  void strict.run('a');
  await expect(strict.run('b')).rejects.toThrow('no time');
  expect(strict.queue.waiting).toBe(0);
});

test('a job that fails frees its place', async () => {
  const { queue } = queueOf();
  await expect(queue.run(() => Promise.reject(new Error('broken')), 'a')).rejects.toThrow('broken');
  await expect(
    queue.run(() => {
      throw new Error('broken at once');
    }, 'b'),
  ).rejects.toThrow('broken at once');
  expect([queue.running, queue.ended]).toEqual([0, 2]);
});

test('drain refuses waiting jobs and waits for running ones, also when it is called twice', async () => {
  const { queue, run, end, settled } = queueOf();
  const running = run('a');
  const waiting = run('b');
  let drained = 0;
  for (let asked = 0; asked < 2; asked += 1) {
    void queue.drain(() => new Error('closing')).then(() => (drained += 1));
  }
  await expect(waiting).rejects.toThrow('closing');
  await settled();
  expect(drained).toBe(0);
  await end('a');
  expect([await running, drained]).toEqual(['a', 2]);
  await queue.drain(() => new Error('closing'));
});

test('the keyed limiter runs calls with one key one after the other, and other keys do not wait for them', async () => {
  const limiter = new KeyedLimiter({ concurrency: 1, maxWaiting: 1, maxWaitMs: 20 });
  const log: string[] = [];
  const note = (text: string) => () => Promise.resolve(void log.push(text));
  let endFirst = () => {};
  const first = limiter.run('one', () => new Promise<void>((resolve) => (endFirst = resolve)));
  const second = limiter.run('one', note('second'));
  await limiter.run('other', note('other'));
  const overloaded = { rejection: { kind: 'server-overloaded', retryAfterMs: 1_000 } };
  await expect(limiter.run('one', note('one too many'))).rejects.toMatchObject(overloaded);
  await expect(second).rejects.toMatchObject(overloaded);
  endFirst();
  await first;
  await limiter.run('one', note('third'));
  expect(log).toEqual(['other', 'third']);
});
