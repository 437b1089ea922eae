/** One reading of the database's clock, and the monotonic times (ms) between which it was taken. */
export interface ClockReading {
  /** Unix time, ms. */
  readonly databaseMs: number;
  readonly sentMs: number;
  readonly receivedMs: number;
}

/** A larger difference exceeds the clock skew that verifiers tolerate (T16, T17); an operator must correct a clock. */
export const CLOCK_TOLERANCE_MS = 5_000;
/** Hysteresis, so that a difference near the limit is not reported repeatedly. */
const RESTORED_TOLERANCE_MS = CLOCK_TOLERANCE_MS / 2;

/**
 * Compares this machine's clock with the database's, which decides when sessions and revocations expire. A reading is
 * accurate to within its round trip, so the fastest one is kept until a later one contradicts it. The kept value is
 * relative to the monotonic clock, so setting this machine's clock changes the difference immediately.
 */
export class DatabaseClock {
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  /** Bounds of the database's time minus the monotonic time, ms. */
  #bounds: { readonly min: number; readonly max: number } | null = null;
  #reported: 'agrees' | 'differs' = 'agrees';

  /** @param wallMs Unix time, ms @param monotonicMs ms */
  constructor(wallMs: () => number = Date.now, monotonicMs: () => number = () => performance.now()) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
  }

  observe({ databaseMs, sentMs, receivedMs }: ClockReading): void {
    const observed = { min: databaseMs - receivedMs, max: databaseMs - sentMs };
    const bounds = this.#bounds;
    const overlaps = bounds !== null && bounds.min <= observed.max && observed.min <= bounds.max;
    const isTighter = overlaps && observed.max - observed.min < bounds.max - bounds.min;
    if (!overlaps || isTighter) this.#bounds = observed;
  }

  /** How far this machine's clock is ahead of the database's, ms; negative when it is behind, null before the first reading. */
  get aheadMs(): number | null {
    const databaseMs = this.#databaseMs();
    return databaseMs === null ? null : this.#wallMs() - databaseMs;
  }

  /**
   * The time for issuing tokens, verifying tokens and purging revocations, Unix time in ms. It is this machine's clock,
   * or the database's when this machine is ahead by more than the tolerance: a token dated into the future would outlive
   * the revocation of its session, which expires by the database's clock. A clock that is behind is not corrected. It does
   * no such harm, and if the database's clock were the wrong one, all verifiers would refuse the new tokens as not yet valid.
   */
  nowMs(): number {
    const wallMs = this.#wallMs();
    const databaseMs = this.#databaseMs();
    return databaseMs !== null && wallMs > databaseMs + CLOCK_TOLERANCE_MS ? databaseMs : wallMs;
  }

  /** The change to report: `differs` once when the difference exceeds the tolerance, `agrees` once when it no longer does. */
  takeTransition(): 'differs' | 'agrees' | null {
    const differenceMs = Math.abs(this.aheadMs ?? 0);
    const toleratedMs = this.#reported === 'differs' ? RESTORED_TOLERANCE_MS : CLOCK_TOLERANCE_MS;
    const state = differenceMs > toleratedMs ? 'differs' : 'agrees';
    if (state === this.#reported) return null;
    this.#reported = state;
    return state;
  }

  #databaseMs(): number | null {
    const bounds = this.#bounds;
    return bounds === null ? null : this.#monotonicMs() + (bounds.min + bounds.max) / 2;
  }
}
