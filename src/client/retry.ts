import { status } from '@grpc/grpc-js';

import { PosternError } from './postern-error.ts';

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
 * Calls again while the service says UNAVAILABLE (or ABORTED) and the deadline leaves room for it. The pause is what the
 * service asked for, or else doubles; a random half of it is left out, so that many callers do not come back at once.
 *
 * @param call gets the time it may take, ms
 */
export async function withRetry<T>(
  deadlineMs: number,
  policy: RetryPolicy,
  call: (remainingMs: number) => Promise<T>,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call(endMs - performance.now());
    } catch (error) {
      if (!isTransient(error) || attempt >= policy.attempts) throw error;
      const doubled = Math.min(policy.firstPauseMs * 2 ** (attempt - 1), policy.longestPauseMs);
      // One instance is stopping: another may be there at once, and only when it is not, the time it asked for helps.
      const tryElsewhere = error.reason === 'SHUTTING_DOWN' && attempt === 1;
      const asked = tryElsewhere ? 0 : (error.retryDelayMs ?? 0);
      const pauseMs = Math.max(doubled * (0.5 + Math.random() / 2), asked);
      if (performance.now() + pauseMs >= endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

function isTransient(error: unknown): error is PosternError {
  return (
    error instanceof PosternError && (error.code === status.UNAVAILABLE || error.code === status.ABORTED)
  );
}
