/** Refusals that are answered at once when there were none before. */
const BURST = 20;
/** After those, one refusal is answered in this time, so that refusing leaves the processor to the work. */
const INTERVAL_MS = 5;
/** Refusals that are due in the same interval of this length are answered together, which costs less. */
const SLOT_MS = 20;
const MAX_DELAY_MS = 1_000;
/** A delayed refusal takes some 12 KB. */
const MAX_DELAYED = 2_048;

/**
 * Delays refusals in a flood. Callers who are refused at once come back at once, and answering them takes the processor
 * from the calls that are served: with 300 such callers the hashing threads did less than half of their work. A caller
 * that waits for its refusal sends nothing meanwhile.
 */
export class RefusalPacer {
  /** When the next refusal may be answered, ms. */
  #nextMs = -Infinity;
  #delayed = 0;

  /**
   * @param nowMs of a monotonic clock
   * @param patienceMs how long the caller still waits for its answer; a refusal takes half of that at most
   * @param pause is not called for a refusal that is to be answered at once
   */
  async delay(
    nowMs: number,
    patienceMs: number,
    pause: (delayMs: number) => Promise<unknown>,
  ): Promise<void> {
    const delayMs = this.#delayed < MAX_DELAYED ? this.#delayMs(nowMs, patienceMs) : 0;
    if (delayMs <= 0) return;
    this.#delayed += 1;
    try {
      await pause(delayMs);
    } finally {
      this.#delayed -= 1;
    }
  }

  #delayMs(nowMs: number, patienceMs: number): number {
    const dueMs = Math.max(this.#nextMs, nowMs - BURST * INTERVAL_MS);
    // A later refusal waits no longer than this one.
    if (dueMs - nowMs < MAX_DELAY_MS) this.#nextMs = dueMs + INTERVAL_MS;
    const delayMs = Math.min(dueMs - nowMs, MAX_DELAY_MS, patienceMs / 2);
    return delayMs <= 0 ? 0 : Math.ceil((nowMs + delayMs) / SLOT_MS) * SLOT_MS - nowMs;
  }
}
