import { type Bucket, refill } from '../../domain/token-bucket.ts';

export interface AuditRateLimits {
  /** Refusals in a row of one source that are written. */
  readonly perSource: number;
  /** After so long a source may have one more. */
  readonly sourceRefillMs: number;
  /** The same for all sources together. */
  readonly overall: number;
  readonly overallRefillMs: number;
  /** Sources that are remembered; the one that was silent for longest is forgotten first. */
  readonly maxSources: number;
}

/**
 * A flood that goes on for ever adds 86 400 rows a day from each instance, about 30 MB. One source alone adds 8 640 and
 * leaves the trail open for all others.
 */
export const auditRateLimits: AuditRateLimits = {
  perSource: 300,
  sourceRefillMs: 10_000,
  overall: 3_000,
  overallRefillMs: 1_000,
  maxSources: 10_000,
};

/**
 * How many refusals of callers who have shown nothing go into the audit trail, and how many lines about them into the
 * log: anybody can cause them, and the trail is kept for a year. What finds no room is counted, and the next event that
 * does has the count.
 */
export class AuditRateLimiter {
  readonly #policy: AuditRateLimits;
  readonly #nowMs: () => number;
  readonly #overall: Bucket;
  readonly #sources = new Map<string, Bucket>();
  #unwritten = 0;

  /** @param nowMs a clock that never goes back */
  constructor(policy: AuditRateLimits, nowMs: () => number) {
    this.#policy = policy;
    this.#nowMs = nowMs;
    this.#overall = { tokens: policy.overall, filledAtMs: nowMs() };
  }

  /** @returns how many before this one were not written, or null when this one is not to be written either */
  take(source: string): { readonly unwritten: number } | null {
    const { perSource, sourceRefillMs, overall, overallRefillMs } = this.#policy;
    const own = this.#bucketOf(source);
    refill(own, { max: perSource, intervalMs: sourceRefillMs }, this.#nowMs());
    refill(this.#overall, { max: overall, intervalMs: overallRefillMs }, this.#nowMs());
    if (own.tokens < 1 || this.#overall.tokens < 1) {
      this.missed();
      return null;
    }
    own.tokens -= 1;
    this.#overall.tokens -= 1;
    const unwritten = this.#unwritten;
    this.#unwritten = 0;
    return { unwritten };
  }

  /** Counts one that had its room and could not be written. */
  missed(): void {
    this.#unwritten += 1;
  }

  #bucketOf(source: string): Bucket {
    const { perSource, maxSources } = this.#policy;
    const bucket = this.#sources.get(source) ?? { tokens: perSource, filledAtMs: this.#nowMs() };
    // A Map keeps the order of insertion, so the first key is the one that was silent for longest.
    this.#sources.delete(source);
    this.#sources.set(source, bucket);
    const [oldest] = this.#sources.keys();
    if (this.#sources.size > maxSources && oldest !== undefined) this.#sources.delete(oldest);
    return bucket;
  }
}
