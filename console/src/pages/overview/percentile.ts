import type { Histogram } from './reading.ts';

/** What was observed between two readings of a histogram that only grows. */
export function between(earlier: Histogram, later: Histogram): Histogram {
  return {
    bounds: later.bounds,
    cumulative: later.cumulative.map((count, index) => Math.max(0, count - (earlier.cumulative[index] ?? 0))),
    sumSeconds: Math.max(0, later.sumSeconds - earlier.sumSeconds),
  };
}

export function observations({ cumulative }: Histogram): number {
  return cumulative.at(-1) ?? 0;
}

/**
 * The duration in seconds that the part `share` of the observations did not exceed, within its bucket by its place among
 * those of the bucket. One observation alone is known exactly, by the sum. Null without any. What is above the last bound
 * counts as that bound.
 */
export function percentile(histogram: Histogram, share: number): number | null {
  const { bounds, cumulative, sumSeconds } = histogram;
  const total = observations(histogram);
  if (total === 0) return null;
  if (total === 1) return sumSeconds;
  const rank = share * total;
  const index = cumulative.findIndex((count) => count >= rank);
  const upper = bounds[index];
  if (upper === undefined) return bounds.at(-1) ?? null;
  const lower = index === 0 ? 0 : (bounds[index - 1] ?? 0);
  const before = index === 0 ? 0 : (cumulative[index - 1] ?? 0);
  const inBucket = (cumulative[index] ?? 0) - before;
  return inBucket === 0 ? upper : lower + ((upper - lower) * (rank - before)) / inBucket;
}
