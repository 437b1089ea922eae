/** Seconds; the range covers a cached token verification to a queued login. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** A duration that was observed in a call of a sampled trace. */
export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string;
  readonly seconds: number;
  /** Unix time, ms. */
  readonly atMs: number;
}

/** A histogram of durations for Prometheus. An observation costs only a few comparisons. */
export class DurationHistogram {
  readonly bounds: readonly number[] = BOUNDS;
  readonly #counts = new Float64Array(BOUNDS.length + 1);
  readonly #exemplars: (Exemplar | undefined)[] = [];
  #sumMs = 0;

  /** @param span the call's span, if its trace is sampled */
  observe(durationMs: number, span?: { readonly traceId: string; readonly spanId: string }): void {
    const seconds = durationMs / 1000;
    let index = 0;
    while (index < BOUNDS.length && seconds > (BOUNDS[index] ?? 0)) index += 1;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sumMs += durationMs;
    if (span) this.#exemplars[index] = { ...span, seconds, atMs: Date.now() };
  }

  /** Cumulative counts: for each bound the durations at or below it, and finally all of them. */
  cumulative(): number[] {
    let sum = 0;
    return [...this.#counts].map((count) => (sum += count));
  }

  /** The last one in the bucket with this index. */
  exemplar(index: number): Exemplar | undefined {
    return this.#exemplars[index];
  }

  get sumSeconds(): number {
    return this.#sumMs / 1000;
  }
}
