/** The state of a token bucket: a burst of events is allowed, then one more after each interval. */
export interface Bucket {
  tokens: number;
  /** Monotonic time of the last refill, ms. */
  filledAtMs: number;
}

/**
 * The entry of a key, made if there is none. It becomes the most recently seen one; beyond `max` entries the least recently
 * seen one is dropped, so that callers cannot fill the memory.
 */
export function seenEntry<T>(entries: Map<string, T>, key: string, make: () => T, max: number): T {
  const entry = entries.get(key) ?? make();
  // A Map keeps insertion order, so the first key is the least recently seen one.
  entries.delete(key);
  entries.set(key, entry);
  const [oldest] = entries.keys();
  if (entries.size > max && oldest !== undefined) entries.delete(oldest);
  return entry;
}

export interface KeyedRate {
  /** How many events one key may have in a burst. */
  readonly burst: number;
  /** The interval after which a key may have one more, ms. */
  readonly intervalMs: number;
  /** How many keys are kept in memory. */
  readonly maxKeys: number;
}

/** Limits how often something happens for a key. */
export class KeyedRateLimiter {
  readonly #rate: KeyedRate;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** @param nowMs monotonic time, ms */
  constructor(rate: KeyedRate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
  }

  /** Takes a permit. @returns 0 when it was given, else the time to wait, ms */
  take(key: string): number {
    const { burst, intervalMs, maxKeys } = this.#rate;
    const nowMs = this.#nowMs();
    const bucket = seenEntry(this.#buckets, key, () => ({ tokens: burst, filledAtMs: nowMs }), maxKeys);
    refill(bucket, { max: burst, intervalMs }, nowMs);
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) * intervalMs);
    bucket.tokens -= 1;
    return 0;
  }

  /** Returns a permit that was taken for nothing. */
  giveBack(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket) bucket.tokens = Math.min(this.#rate.burst, bucket.tokens + 1);
  }
}

/** Adds the tokens for the time since the last refill, up to `max`. */
export function refill(bucket: Bucket, rate: { max: number; intervalMs: number }, nowMs: number): void {
  bucket.tokens = Math.min(rate.max, bucket.tokens + (nowMs - bucket.filledAtMs) / rate.intervalMs);
  bucket.filledAtMs = nowMs;
}
