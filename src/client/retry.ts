import { status } from '@grpc/grpc-js';

import { Backoff } from '../domain/concurrency/backoff.ts';
import { sleepUnlessAborted } from '../domain/concurrency/sleep.ts';
import { isLost, PosternError } from './postern-error.ts';

export interface RetryPolicy {
  /** Number of attempts, including the first; 1 never retries. */
  readonly attempts: number;
  /** The pause before the second attempt, ms; it doubles with each further attempt. */
  readonly firstPauseMs: number;
  /** The limit of the pauses, ms. */
  readonly longestPauseMs: number;
}

/** The pauses add up to more than the longest reconnect backoff (channel.ts). */
export const standardRetry: RetryPolicy = { attempts: 6, firstPauseMs: 50, longestPauseMs: 2_000 };

/**
 * Retries a call that ends with UNAVAILABLE or ABORTED, or whose connection was lost, as long as the deadline allows. The
 * pause is the delay that the service asked for plus a backoff, half of it random, so that callers do not return at once.
 *
 * @param call gets the time that is left, ms
 * @param signal ends a pause at once; `call` has to handle it, too
 */
export async function withRetry<T>(
  deadlineMs: number,
  policy: RetryPolicy,
  call: (remainingMs: number) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  // With the standard policy: 25 to 50, 50 to 100, 100 to 200 ms and so on, 1 to 2 s at most.
  const backoff = new Backoff({ firstMs: policy.firstPauseMs, maxMs: policy.longestPauseMs, jitter: 0.5 });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call(endMs - performance.now());
    } catch (error) {
      if (!isTransient(error) || attempt >= policy.attempts) throw error;
      // An instance is stopping: another may be available at once. Only after a second failure its delay is respected.
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
