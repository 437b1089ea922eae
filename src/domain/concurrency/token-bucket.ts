/** The state of a token bucket: a burst of events is allowed, then one more after each interval. */
export interface Bucket {
  tokens: number;
  /** Monotonic time of the last refill, ms. */
  filledAtMs: number;
}

/** Adds the tokens for the time since the last refill, up to `max`. */
export function refill(bucket: Bucket, rate: { max: number; intervalMs: number }, nowMs: number): void {
  bucket.tokens = Math.min(rate.max, bucket.tokens + (nowMs - bucket.filledAtMs) / rate.intervalMs);
  bucket.filledAtMs = nowMs;
}
