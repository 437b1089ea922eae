import { createHash, timingSafeEqual } from 'node:crypto';

import { type Bucket, refill } from '../../domain/token-bucket.ts';

export interface RepeatRateLimits {
  /** Repeats of one session in a row: fifty tabs that wake at once are honest. */
  readonly perSession: number;
  /** After so long a session may have one more. */
  readonly refillMs: number;
  /** Sessions that are remembered; the one that was silent for longest is forgotten first. */
  readonly maxSessions: number;
}

const MAX_PER_GRACE_TIME = 100;

/** A hundred in a row, and then a hundred more in each grace time. */
export function repeatRateLimits(graceMs: number): RepeatRateLimits {
  return {
    perSession: MAX_PER_GRACE_TIME,
    refillMs: Math.max(1, graceMs / MAX_PER_GRACE_TIME),
    maxSessions: 10_000,
  };
}

interface SessionBucket extends Bucket {
  /** The digest of the token that found no room, until its grace time is over. */
  refused: { readonly digest: Buffer; readonly untilMs: number } | null;
}

/**
 * How often a session's refresh token may come again within its grace time: each time costs a look at the database and a
 * signature. The session itself is none the worse for it.
 */
export class RepeatRateLimiter {
  readonly #policy: RepeatRateLimits;
  readonly #nowMs: () => number;
  readonly #sessions = new Map<string, SessionBucket>();

  /** @param nowMs a clock that never goes back */
  constructor(policy: RepeatRateLimits, nowMs: () => number) {
    this.#policy = policy;
    this.#nowMs = nowMs;
  }

  /**
   * Counts a repeat of a token that is genuine.
   *
   * @param graceLeftMs how long it may still come again
   * @returns 0 when there is room for it, else how long to wait, ms
   */
  take(sessionId: string, token: string, graceLeftMs: number): number {
    const bucket = this.#bucketOf(sessionId);
    const waitMs = this.#waitMs(bucket);
    if (waitMs === 0) bucket.tokens -= 1;
    bucket.refused = waitMs === 0 ? null : { digest: digestOf(token), untilMs: this.#nowMs() + graceLeftMs };
    return waitMs;
  }

  /**
   * How long a token has to wait that found no room before and finds none now, ms; 0 for all others, among them forged ones
   * and those whose grace time is over: coming again is theft then, and must be found out.
   */
  waitMsOf(sessionId: string, token: string): number {
    const bucket = this.#sessions.get(sessionId);
    if (!bucket?.refused || this.#nowMs() >= bucket.refused.untilMs) return 0;
    return timingSafeEqual(bucket.refused.digest, digestOf(token)) ? this.#waitMs(bucket) : 0;
  }

  /** Lets every token be judged again: the session has moved on, and an older one that comes now is theft. */
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
    const known = this.#sessions.get(sessionId);
    const bucket = known ?? { tokens: perSession, filledAtMs: this.#nowMs(), refused: null };
    // A Map keeps the order of insertion, so the first key is the one that was silent for longest.
    this.#sessions.delete(sessionId);
    this.#sessions.set(sessionId, bucket);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > maxSessions && oldest !== undefined) this.#sessions.delete(oldest);
    return bucket;
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
