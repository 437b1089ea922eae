import { readStoredHash } from '../formats/format-table.ts';
import { MAX_PASSWORD_FORMS } from '../password-policy.ts';
import { MAX_REFUSAL_DELAY_MS } from '../time-limits.ts';
import { isSlow, type SlowKind, slowestOfEachFormat } from './slow-hash-kinds.ts';

/** Upper estimate for one hash with current parameters on common hardware. */
const ESTIMATED_HASH_MS = 30;
/** Realistic estimate, for the number of forms: a high one would refuse right passwords until a kind is measured. */
const TYPICAL_HASH_MS = 10;
/** The fastest probe counts: a busy moment during the measurement must not slow down all later refusals. */
const PROBES_PER_KIND = 4;
/** A kind that limits the number of forms is measured more often: the machine may have been busy at the first time. */
const MAX_PROBES_PER_KIND = 16;
/** Factor above the measured time, so that nearly every real verification ends before the delay does. */
const MARGIN = 1.25;
/** Number of recent verifications of slow hashes that are kept; the delay covers this percentile of them. */
const MAX_OBSERVATIONS = 32;
const PERCENTILE = 0.9;

/**
 * The minimum time from the start of a verification to its refusal: the time that the slowest kind of stored hash
 * takes, as often as the typed password has Unicode forms to compare (L06); 0 while no kind is slower than a hash with
 * current parameters. It depends on the password and on what is stored, never on the account. A kind is measured when it
 * first appears, and recent verifications raise the delay, so that it follows the load of the machine. At most 2 s.
 */
export class RefusalDelay {
  readonly #measureMs: (stored: string) => Promise<number>;
  readonly #maxMs: number;
  /** Milliseconds of each measurement, by kind. */
  readonly #probes = new Map<string, number[]>();
  #expected: readonly SlowKind[] = [];
  #observed: number[] = [];

  /** @param measureMs verifies a stored hash and returns the time that took; rejects when it cannot do so now */
  constructor(measureMs: (stored: string) => Promise<number>, maxMs = MAX_REFUSAL_DELAY_MS) {
    this.#measureMs = measureMs;
    this.#maxMs = maxMs;
  }

  /** The delay for a password of which so many forms are compared with an imported hash. */
  msFor(forms: number): number {
    const slow = this.#expected.filter(({ work }) => isSlow(work, forms));
    const slowestMs = Math.max(this.#measuredMs(slow, ESTIMATED_HASH_MS), this.#observedPercentile());
    return Math.min(this.#maxMs, MARGIN * forms * slowestMs);
  }

  /**
   * How many forms of a password a login may compare, so that the delay can cover all of them: 1 to 3. Counts with the
   * fastest times: a busy moment must not refuse a right password.
   */
  get maxForms(): number {
    const observedMs = this.#observed.length === 0 ? 0 : Math.min(...this.#observed);
    const slowestMs = Math.max(this.#measuredMs(this.#expected, TYPICAL_HASH_MS), observedMs);
    const covered = slowestMs === 0 ? Infinity : Math.floor(this.#maxMs / (MARGIN * slowestMs));
    return Math.min(MAX_PASSWORD_FORMS, Math.max(1, covered));
  }

  /** Replaces the kinds that are expected. A new kind counts with its estimate until it is measured. Never rejects. */
  async expect(kinds: readonly string[]): Promise<void> {
    const expected = slowestOfEachFormat(kinds);
    const isSame = expected.map(({ kind }) => kind).join() === this.#expected.map(({ kind }) => kind).join();
    // Observations of kinds that are no longer stored must not raise the delay.
    if (!isSame) this.#observed = [];
    this.#expected = expected;
    for (const { kind, example } of this.#expected) {
      try {
        await this.#probe(kind, example);
      } catch {
        // The queue is full: the estimate, which is high, applies until the next call.
      }
    }
  }

  async #probe(kind: string, example: string): Promise<void> {
    const probesMs = this.#probes.get(kind) ?? [];
    this.#probes.set(kind, probesMs);
    const isMeasured = probesMs.length >= PROBES_PER_KIND;
    const isEnough = this.maxForms === MAX_PASSWORD_FORMS || probesMs.length >= MAX_PROBES_PER_KIND;
    if (isMeasured && isEnough) return;
    const wanted = isMeasured ? probesMs.length + PROBES_PER_KIND : PROBES_PER_KIND;
    while (probesMs.length < wanted) probesMs.push(await this.#measureMs(example));
  }

  /**
   * Records the time of a real verification, which compared so many forms of a password. This also covers hashes imported
   * since the last `expect`.
   */
  observe(stored: string, workMs: number, compared: number): void {
    const parsed = readStoredHash(stored);
    if (typeof parsed === 'string' || !isSlow(parsed.work, compared)) return;
    this.#observed.push(workMs / compared);
    if (this.#observed.length > MAX_OBSERVATIONS) this.#observed.shift();
  }

  /** Milliseconds of one comparison with the slowest of `kinds`; an estimate for a kind that is not measured yet. */
  #measuredMs(kinds: readonly SlowKind[], estimatedHashMs: number): number {
    const kindsMs = kinds.map(({ kind, work }) => {
      const probesMs = this.#probes.get(kind) ?? [];
      return probesMs.length < PROBES_PER_KIND ? work * estimatedHashMs : Math.min(...probesMs);
    });
    return Math.max(0, ...kindsMs);
  }

  #observedPercentile(): number {
    const sorted = this.#observed.toSorted((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) * PERCENTILE)] ?? 0;
  }
}
