import { status } from '@grpc/grpc-js';

import { Backoff } from '../domain/concurrency/backoff.ts';
import { sleepUnlessAborted } from '../domain/concurrency/sleep.ts';
import { isLost, PosternError } from './postern-error.ts';

export interface RetryPolicy {
  /** Attempts in all, the first included; 1 never retries. */
  readonly attempts: number;
  /** The pause before the second attempt, ms; it doubles with every further one. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

/** All pauses together outlast the longest wait before a lost connection is dialled again (channel.ts). */
export const standardRetry: RetryPolicy = { attempts: 6, firstPauseMs: 50, longestPauseMs: 2_000 };

/**
 * Calls again while the service says UNAVAILABLE (or ABORTED), or the connection ends under the call, and the deadline
 * leaves room for it. The pause is what the service asked for, and above that one that doubles, less a random half: many callers do not come back at once.
 *
 * @param call gets the time it may take, ms
 * @param signal ends a pause at once; `call` sees to the rest
 */
export async function withRetry<T>(
  deadlineMs: number,
  policy: RetryPolicy,
  call: (remainingMs: number) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  // As a rule 25 to 50, 50 to 100, 100 to 200 ms and so on, 1 to 2 s at most.
  const backoff = new Backoff({ firstMs: policy.firstPauseMs, maxMs: policy.longestPauseMs, jitter: 0.5 });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call(endMs - performance.now());
    } catch (error) {
      if (!isTransient(error) || attempt >= policy.attempts) throw error;
      // One instance is stopping: another may be there at once, and only when it is not, the time it asked for helps.
      const tryElsewhere = error.reason === 'SHUTTING_DOWN' && attempt === 1;
      const requestedDelayMs = tryElsewhere ? 0 : (error.retryDelayMs ?? 0);
      const pauseMs = requestedDelayMs + backoff.next();
      if (performance.now() + pauseMs >= endMs) throw error;
      await sleepUnlessAborted(pauseMs, signal);
    }
  }
}

function isTransient(error: unknown): error is PosternError {
  if (!(error instanceof PosternError)) return false;
  return error.code === status.UNAVAILABLE || error.code === status.ABORTED || isLost(error);
}
