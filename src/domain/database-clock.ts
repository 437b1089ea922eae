/** The database's clock as one answer told it, and the monotonic moments (ms) between which it was read. */
export interface ClockReading {
  /** Unix time, ms. */
  readonly databaseMs: number;
  readonly sentMs: number;
  readonly receivedMs: number;
}

/** Beyond this, two clocks differ by more than verifiers grant each other (T16, T17), and somebody has to mend one. */
export const CLOCK_TOLERANCE_MS = 5_000;
/** Lest a clock at the edge be reported over and over. */
const RESTORED_TOLERANCE_MS = CLOCK_TOLERANCE_MS / 2;

/**
 * This machine's clock beside the database's, by which sessions and revocations expire. An answer tells the difference to
 * within its round trip, so the quickest is kept until a later one contradicts it. What is kept hangs on the monotonic
 * clock: when somebody sets this machine's clock, the difference changes at that moment.
 */
export class DatabaseClock {
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  /** Between which two values the database's time less the monotonic time lies, ms. */
  #bounds: { readonly min: number; readonly max: number } | null = null;
  #reported: 'agrees' | 'differs' = 'agrees';

  /** @param wallMs Unix time, ms @param monotonicMs ms */
  constructor(wallMs: () => number = Date.now, monotonicMs: () => number = () => performance.now()) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
  }

  observe({ databaseMs, sentMs, receivedMs }: ClockReading): void {
    const read = { min: databaseMs - receivedMs, max: databaseMs - sentMs };
    const bounds = this.#bounds;
    const overlaps = bounds !== null && bounds.min <= read.max && read.min <= bounds.max;
    if (!overlaps || read.max - read.min < bounds.max - bounds.min) this.#bounds = read;
  }

  /** By how much this machine's clock is ahead of the database's, ms, below 0 when it is behind; null before the first reading. */
  get aheadMs(): number | null {
    const databaseMs = this.#databaseMs();
    return databaseMs === null ? null : this.#wallMs() - databaseMs;
  }

  /**
   * The time by which this process dates its tokens, judges tokens and forgets revocations, Unix time, ms: its machine's
   * clock, unless that is ahead of the database's. A token that was dated ahead would outlive the revocation of its
   * session, which is kept by the database's clock. A clock that is behind does no such harm, and is not corrected:
   * were the database's the wrong one, verifiers everywhere would refuse tokens whose time has not come.
   */
  nowMs(): number {
    const wallMs = this.#wallMs();
    const databaseMs = this.#databaseMs();
    return databaseMs !== null && wallMs > databaseMs + CLOCK_TOLERANCE_MS ? databaseMs : wallMs;
  }

  /** What there is to report: `differs` once when the clocks begin to differ too much, `agrees` once when they do no more. */
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
