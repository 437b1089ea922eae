import { between, observations, percentile } from './percentile.ts';
import { loginOutcomes, type LoginOutcome, type Reading } from './reading.ts';

/** How far back the charts go, ms. */
export const WINDOW_MS = 120_000;
/** More instances than these are counted, not shown. */
export const MAX_SHOWN = 8;

/** What happened between two readings of one instance. */
export interface Point {
  /** When the later one arrived, monotonic time, ms. */
  readonly atMs: number;
  /** A second. */
  readonly logins: Readonly<Record<LoginOutcome, number>>;
  readonly verified: number;
  readonly refused: number;
  /** Of the revocations that arrived meanwhile, ms; null without any. */
  readonly delays: { readonly p50Ms: number; readonly p99Ms: number } | null;
}

/** The readings of one process, from its start to its end. */
export interface Series {
  readonly latest: Reading;
  /** When the latest reading arrived, monotonic time, ms. */
  readonly latestMs: number;
  /** Oldest first, none older than the window. */
  readonly points: readonly Point[];
}

/**
 * The series of each instance that answered. Behind a load balancer each reading may be of another one, and a restart makes
 * a new one, so counters are only compared within an instance.
 */
export class Instances {
  #series: ReadonlyMap<string, Series> = new Map();

  add(reading: Reading, nowMs: number): void {
    const known = this.#series.get(reading.instanceId);
    const points = [...(known?.points ?? []), ...(known ? [pointOf(known, reading, nowMs)] : [])];
    const series = new Map(this.#series).set(reading.instanceId, {
      latest: reading,
      latestMs: nowMs,
      points: points.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS),
    });
    // An instance that has not answered for so long has nothing left to show.
    this.#series = new Map([...series].filter(([, { latestMs }]) => nowMs - latestMs <= WINDOW_MS));
  }

  /** Those that are shown, the one that started last first. */
  get shown(): readonly Series[] {
    return this.#sorted().slice(0, MAX_SHOWN);
  }

  /** How many more have answered. */
  get hidden(): number {
    return Math.max(0, this.#series.size - MAX_SHOWN);
  }

  /** The latest reading of any instance. */
  get latest(): Reading | null {
    const [latest] = [...this.#series.values()].sort((one, other) => other.latestMs - one.latestMs);
    return latest?.latest ?? null;
  }

  #sorted(): Series[] {
    const started = ({ latest }: Series) => Date.parse(latest.startedAt);
    return [...this.#series.values()].sort(
      (one, other) =>
        started(other) - started(one) || one.latest.instanceId.localeCompare(other.latest.instanceId),
    );
  }
}

function pointOf({ latest: before, latestMs: beforeMs }: Series, after: Reading, atMs: number): Point {
  const seconds = Math.max(0.001, (atMs - beforeMs) / 1000);
  const rate = (earlier: number, later: number) => Math.max(0, later - earlier) / seconds;
  const delays = between(before.delays, after.delays);
  const milliseconds = (share: number) => (percentile(delays, share) ?? 0) * 1000;
  return {
    atMs,
    logins: Object.fromEntries(
      loginOutcomes.map((outcome) => [outcome, rate(before.logins[outcome], after.logins[outcome])]),
    ) as Record<LoginOutcome, number>,
    verified: rate(before.verifications.ok, after.verifications.ok),
    refused: rate(before.verifications.refused, after.verifications.refused),
    delays: observations(delays) === 0 ? null : { p50Ms: milliseconds(0.5), p99Ms: milliseconds(0.99) },
  };
}
