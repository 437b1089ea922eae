import { type Bucket, refill, seenEntry } from '../../domain/concurrency/token-bucket.ts';

export interface AuditRateLimits {
  /** How many refusals one source may have recorded in a burst. */
  readonly perSource: number;
  /** The interval after which a source may have one more recorded, ms. */
  readonly sourceRefillMs: number;
  /** The burst over all sources together. */
  readonly overall: number;
  /** The interval after which one more may be recorded over all sources, ms. */
  readonly overallRefillMs: number;
  /** How many sources are kept in memory; the least recently seen one is evicted first. */
  readonly maxSources: number;
}

/**
 * A permanent flood adds at most 86,400 rows a day per instance, about 30 MB. A single source adds at most 8,640 a day
 * and leaves room for all others.
 */
export const auditRateLimits: AuditRateLimits = {
  perSource: 300,
  sourceRefillMs: 10_000,
  overall: 3_000,
  overallRefillMs: 1_000,
  maxSources: 10_000,
};

/**
 * Limits how many refusals of unauthenticated callers are written to the audit trail and to the log. Anybody can cause
 * such refusals, and the trail is kept for more than a year. Refusals over the limit are counted, and the next one that
 * is written carries the count.
 */
export class AuditRateLimiter {
  readonly #policy: AuditRateLimits;
  readonly #nowMs: () => number;
  readonly #overall: Bucket;
  readonly #sources = new Map<string, Bucket>();
  #unwritten = 0;

  /** @param nowMs monotonic time, ms */
  constructor(policy: AuditRateLimits, nowMs: () => number) {
    this.#policy = policy;
    this.#nowMs = nowMs;
    this.#overall = { tokens: policy.overall, filledAtMs: nowMs() };
  }

  /**
   * Takes a permit to write one refusal.
   *
   * @returns how many refusals before this one were not written, or null when this one must not be written either
   */
  take(source: string): { readonly unwritten: number } | null {
    const { perSource, sourceRefillMs, overall, overallRefillMs } = this.#policy;
    const sourceBucket = this.#bucketOf(source);
    refill(sourceBucket, { max: perSource, intervalMs: sourceRefillMs }, this.#nowMs());
    refill(this.#overall, { max: overall, intervalMs: overallRefillMs }, this.#nowMs());
    if (sourceBucket.tokens < 1 || this.#overall.tokens < 1) {
      this.missed();
      return null;
    }
    sourceBucket.tokens -= 1;
    this.#overall.tokens -= 1;
    const unwritten = this.#unwritten;
    this.#unwritten = 0;
    return { unwritten };
  }

  /** Counts a refusal that was not written. Callers use it when a permitted write failed. */
  missed(): void {
    this.#unwritten += 1;
  }

  #bucketOf(source: string): Bucket {
    const { perSource, maxSources } = this.#policy;
    const make = () => ({ tokens: perSource, filledAtMs: this.#nowMs() });
    return seenEntry(this.#sources, source, make, maxSources);
  }
}
