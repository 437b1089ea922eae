/** What may still happen of something that has a rate: so many in a row, and one more after each interval. */
export interface Bucket {
  tokens: number;
  /** When it was last filled, monotonic, ms. */
  filledAtMs: number;
}

/** Fills a bucket for the time since it was last filled, up to `max`. */
export function refill(bucket: Bucket, rate: { max: number; intervalMs: number }, nowMs: number): void {
  bucket.tokens = Math.min(rate.max, bucket.tokens + (nowMs - bucket.filledAtMs) / rate.intervalMs);
  bucket.filledAtMs = nowMs;
}
