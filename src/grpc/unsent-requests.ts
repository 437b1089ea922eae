const LOOK_EVERY_MS = 500;

/**
 * Calls whose request has not come yet. A handler runs, and its deadline with it, only when the request is there: a
 * caller that opens a call and sends nothing more would hold it for as long as the connection lasts. One timer looks
 * after all of them, so that a call whose request comes at once costs no timer.
 */
export class UnsentRequests {
  /** In the order in which they began, so that a look ends at the first young one. */
  readonly #waiting = new Map<object, { sinceMs: number; end: () => void }>();
  readonly #limitMs: number;
  #timer: NodeJS.Timeout | null = null;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  add(call: object, sinceMs: number, end: () => void): void {
    this.#waiting.set(call, { sinceMs, end });
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  delete(call: object): void {
    this.#waiting.delete(call);
  }

  #look(): void {
    const oldestMs = performance.now() - this.#limitMs;
    for (const [call, { sinceMs, end }] of this.#waiting) {
      if (sinceMs > oldestMs) break;
      this.#waiting.delete(call);
      end();
    }
    if (this.#waiting.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
