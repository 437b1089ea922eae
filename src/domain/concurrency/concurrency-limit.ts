import { setTimeout as pause } from 'node:timers/promises';

import type { CallBudget } from '../operation-call.ts';
import { Rejected, RETRY_AFTER_MS } from '../rejection.ts';
import { RefusalPacer } from './refusal-pacer.ts';

/**
 * Limits concurrent calls of a costly kind. Calls over the limit, and calls that would not be answered in time, are
 * refused before they take a database connection (L13): otherwise a flood of logins would queue for connections that
 * other calls need. In a flood the refusals are paced.
 */
export class ConcurrencyLimit {
  readonly #max: number;
  readonly #expectedMs: (callsBefore: number) => number;
  readonly #pacer = new RefusalPacer();
  #running = 0;

  /** @param expectedMs estimates when one more call would be done if this many had come before it, ms from now */
  constructor(max: number, expectedMs: (callsBefore: number) => number) {
    this.#max = max;
    this.#expectedMs = expectedMs;
  }

  /** @throws Rejected `server-overloaded` */
  async run<T>(work: () => Promise<T>, call: Pick<CallBudget, 'deadlineMs'>): Promise<T> {
    const cause = this.#whyNotNow(call.deadlineMs - Date.now());
    if (cause !== null) {
      await this.paceRefusal(call);
      throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: this.#retryAfterMs() });
    }
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
    }
  }

  /** Waits until a refusal of the same kind of call may be answered. */
  paceRefusal({ deadlineMs }: Pick<CallBudget, 'deadlineMs'>): Promise<void> {
    return this.#pacer.delay(performance.now(), deadlineMs - Date.now(), (delayMs) =>
      pause(delayMs, undefined, { ref: false }),
    );
  }

  #whyNotNow(leftMs: number): string | null {
    if (this.#running >= this.#max)
      return `the limit of ${this.#max} concurrent calls of this kind is reached`;
    // A call whose deadline has passed already is refused as such by the work.
    const isTooLate = leftMs > 0 && this.#expectedMs(this.#running) > leftMs;
    return isTooLate ? `${this.#running} calls of this kind come first, which takes too long` : null;
  }

  /** Spread over twice the shortest delay: those who were refused together would come back together. */
  #retryAfterMs(): number {
    const shortestMs = Math.max(RETRY_AFTER_MS, this.#expectedMs(this.#running));
    return Math.ceil(shortestMs * (1 + Math.random()));
  }
}
