/** What may still happen of something that has a rate: so many in a row, and one more after each interval. */
export interface Bucket {
  left: number;
  /** When it was last filled, monotonic, ms. */
  atMs: number;
}

/** Fills a bucket for the time since it was last filled, up to `max`. */
export function refill(bucket: Bucket, rate: { max: number; everyMs: number }, nowMs: number): void {
  bucket.left = Math.min(rate.max, bucket.left + (nowMs - bucket.atMs) / rate.everyMs);
  bucket.atMs = nowMs;
}
