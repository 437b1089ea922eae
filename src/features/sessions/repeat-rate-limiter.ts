import { createHash, timingSafeEqual } from 'node:crypto';

import { type Bucket, refill, seenEntry } from '../../domain/concurrency/token-bucket.ts';

export interface RepeatRateLimits {
  /** How many repeats one session may make in a burst. Fifty browser tabs that wake up at once are legitimate. */
  readonly perSession: number;
  /** The interval after which a session may make one more repeat, ms. */
  readonly refillMs: number;
  /** How many sessions are kept in memory; the least recently seen one is evicted first. */
  readonly maxSessions: number;
}

const MAX_PER_GRACE_TIME = 100;

/** A longer grace time must not allow a session with many tabs fewer repeats, or delay the check of a refused token. */
const MAX_REFILL_TIME_MS = 60_000;

/**
 * Limits of a burst of 100 repeats, and of 100 more in each grace time, or in each minute of a longer one.
 *
 * @param graceMs the grace time, ms
 */
export function repeatRateLimits(graceMs: number): RepeatRateLimits {
  return {
    perSession: MAX_PER_GRACE_TIME,
    refillMs: Math.max(1, Math.min(graceMs, MAX_REFILL_TIME_MS) / MAX_PER_GRACE_TIME),
    maxSessions: 10_000,
  };
}

interface SessionBucket extends Bucket {
  /** The SHA-256 of the token that was refused last, until its grace time ends (monotonic time, ms). */
  refused: { readonly digest: Buffer; readonly untilMs: number } | null;
}

/**
 * Limits how often a session's refresh token may be repeated within its grace time, because each repeat costs a
 * database read and a signature. A refused repeat does not end the session.
 */
export class RepeatRateLimiter {
  readonly #policy: RepeatRateLimits;
  readonly #nowMs: () => number;
  readonly #sessions = new Map<string, SessionBucket>();

  /** @param nowMs monotonic time, ms */
  constructor(policy: RepeatRateLimits, nowMs: () => number) {
    this.#policy = policy;
    this.#nowMs = nowMs;
  }

  /**
   * Takes a permit to repeat a genuine token.
   *
   * @param graceLeftMs how long the token may still be repeated, ms
   * @returns 0 when the repeat is allowed, else the time to wait, ms
   */
  take(sessionId: string, token: string, graceLeftMs: number): number {
    const bucket = this.#bucketOf(sessionId);
    const waitMs = this.#waitMs(bucket);
    if (waitMs === 0) bucket.tokens -= 1;
    bucket.refused = waitMs === 0 ? null : { digest: digestOf(token), untilMs: this.#nowMs() + graceLeftMs };
    return waitMs;
  }

  /**
   * Returns how long a token that was refused before must still wait, ms. Returns 0 for every other token. Among those
   * are forged tokens, and tokens whose grace time has ended: a repeat of such a token means theft and must be
   * detected.
   */
  waitMsOf(sessionId: string, token: string): number {
    const bucket = this.#sessions.get(sessionId);
    if (!bucket?.refused || this.#nowMs() >= bucket.refused.untilMs) return 0;
    return timingSafeEqual(bucket.refused.digest, digestOf(token)) ? this.#waitMs(bucket) : 0;
  }

  /**
   * Forgets the refused token, so that every token is checked again. Call it after a rotation: an older token that is
   * presented from then on means theft.
   */
  clearRefusal(sessionId: string): void {
    const bucket = this.#sessions.get(sessionId);
    if (bucket) bucket.refused = null;
  }

  #waitMs(bucket: SessionBucket): number {
    const { perSession, refillMs } = this.#policy;
    refill(bucket, { max: perSession, intervalMs: refillMs }, this.#nowMs());
    return bucket.tokens >= 1 ? 0 : Math.ceil((1 - bucket.tokens) * refillMs);
  }

  #bucketOf(sessionId: string): SessionBucket {
    const { perSession, maxSessions } = this.#policy;
    const make = () => ({ tokens: perSession, filledAtMs: this.#nowMs(), refused: null });
    return seenEntry<SessionBucket>(this.#sessions, sessionId, make, maxSessions);
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
