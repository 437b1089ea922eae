import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { withTimeout } from '../../../src/domain/concurrency/timeout.ts';

const LIMIT_MS = 1_000;
const never = new Promise<never>(() => undefined);

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
});
afterEach(() => {
  jest.useRealTimers();
});

describe('work that ends in time', () => {
  test.each([
    ['a result', Promise.resolve('done'), 'done'],
    ['a fault', Promise.reject(new Error('broken')), 'Error: broken'],
  ])('passes on %s and leaves no timer', async (_what, work, expected) => {
    const ended = withTimeout(work, LIMIT_MS, () => 'late').catch(String);
    await expect(ended).resolves.toBe(expected);
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('work that takes too long', () => {
  test('resolves with the result of onTimeout at the limit and not before', async () => {
    const onTimeout = jest.fn(() => 'late');
    const answer = withTimeout<string>(never, LIMIT_MS, onTimeout);
    await jest.advanceTimersByTimeAsync(LIMIT_MS - 1);
    expect(onTimeout).not.toHaveBeenCalled();
    await jest.advanceTimersByTimeAsync(1);
    await expect(answer).resolves.toBe('late');
  });

  test('rejects with the error that onTimeout throws', async () => {
    const answer = withTimeout<string>(never, LIMIT_MS, () => {
      throw new Error('too late');
    }).catch(String);
    await jest.advanceTimersByTimeAsync(LIMIT_MS);
    await expect(answer).resolves.toBe('Error: too late');
  });

  test('can fail later without an unhandled rejection', async () => {
    let fail: (error: Error) => void = () => undefined;
    const work = new Promise<string>((_resolve, reject) => (fail = reject));
    const answer = withTimeout(work, LIMIT_MS, () => 'late');
    await jest.advanceTimersByTimeAsync(LIMIT_MS);
    fail(new Error('nobody hears it'));
    await expect(answer).resolves.toBe('late');
  });
});
