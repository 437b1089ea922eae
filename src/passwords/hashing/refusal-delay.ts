import { readStoredHash } from '../formats/format-table.ts';
import { type SlowKind, slowestOfEachFormat } from './slow-hash-kinds.ts';

/** A login has 5 s in all, and the bounds of the formats keep a check near one second on a slow processor. */
const MAX_DELAY_MS = 2_000;
/** What one hash of ours takes at most on what Postern is likely to run on; for estimates only. */
const ESTIMATED_HASH_MS = 30;
/** The quickest counts: a busy moment at the start must not slow every refusal from then on. */
const PROBES_PER_KIND = 4;
/** So much above what was seen that nearly every real check ends before the floor, and the timer decides. */
const MARGIN = 1.25;
/** How many checks of slow hashes the floor remembers; the time that nine of ten kept holds it up. */
const OBSERVATIONS = 32;
const PERCENTILE = 0.9;

/**
 * How long after its start a refused check may be answered: the time that the slowest kind of stored hash takes, 0
 * while none is slower than ours. Measured when a kind is first met, and held up by what real checks took since, so
 * that it follows a busy machine. Never over 2 s.
 */
export class RefusalDelay {
  readonly #measureMs: (stored: string) => Promise<number>;
  readonly #measured = new Map<string, number>();
  #expected: readonly SlowKind[] = [];
  #observed: number[] = [];

  /** `measureMs` checks a stored text and says how long that took; rejects when it cannot be done now. */
  constructor(measureMs: (stored: string) => Promise<number>) {
    this.#measureMs = measureMs;
  }

  get ms(): number {
    const expected = this.#expected.map(
      ({ kind, work }) => this.#measured.get(kind) ?? work * ESTIMATED_HASH_MS,
    );
    return Math.min(MAX_DELAY_MS, MARGIN * Math.max(0, ...expected, this.#observedPercentile()));
  }

  /** Replaces what is expected; the estimate stands in until a new kind has been measured. Never rejects. */
  async expect(kinds: readonly string[]): Promise<void> {
    const expected = slowestOfEachFormat(kinds);
    const isSame = expected.map(({ kind }) => kind).join() === this.#expected.map(({ kind }) => kind).join();
    // What is gone must not hold the floor up any more.
    if (!isSame) this.#observed = [];
    this.#expected = expected;
    for (const { kind, example } of this.#expected) {
      if (this.#measured.has(kind)) continue;
      try {
        const times: number[] = [];
        for (let probe = 0; probe < PROBES_PER_KIND; probe++) times.push(await this.#measureMs(example));
        this.#measured.set(kind, Math.min(...times));
      } catch {
        // No room for it now: the estimate, which is high, stays until the next time.
      }
    }
  }

  /** Tells how long a real check of `stored` took; hashes imported since the last `expect` are noticed by it. */
  observe(stored: string, workMs: number): void {
    const read = readStoredHash(stored);
    if (typeof read === 'string' || read.work <= 1) return;
    this.#observed.push(workMs);
    if (this.#observed.length > OBSERVATIONS) this.#observed.shift();
  }

  #observedPercentile(): number {
    const sorted = this.#observed.toSorted((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) * PERCENTILE)] ?? 0;
  }
}
