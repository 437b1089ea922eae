import { update } from '../../update.ts';

const INTERVAL_MS = 2_000;

/** Asks again and again while the page is visible, never twice at once. */
export class Poller<T> {
  readonly #read: () => Promise<T>;
  readonly #onAnswer: (answer: T, nowMs: number) => void;
  #isAsking = false;
  #isStopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #clock: ReturnType<typeof setInterval>;
  /** When the last answer arrived, or when the page was opened or shown again; monotonic time, ms. */
  #sinceMs = performance.now();
  /** Why the last call failed; null when it did not. */
  error: unknown = null;

  constructor(read: () => Promise<T>, onAnswer: (answer: T, nowMs: number) => void) {
    this.#read = read;
    this.#onAnswer = onAnswer;
    document.addEventListener('visibilitychange', this.#onVisibility);
    // For ages, and for what is said while no answer comes.
    this.#clock = setInterval(update, 1_000);
    void this.ask();
  }

  /** How long there has been no answer, ms. */
  get silentMs(): number {
    return performance.now() - this.#sinceMs;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Asks now, unless it asks already. */
  async ask(): Promise<void> {
    if (this.#isAsking || this.#isStopped || document.hidden) return;
    this.#isAsking = true;
    clearTimeout(this.#timer);
    const askedMs = performance.now();
    try {
      const answer = await this.#read();
      this.#sinceMs = performance.now();
      this.error = null;
      if (!this.isStopped) this.#onAnswer(answer, this.#sinceMs);
    } catch (error) {
      this.error = error;
    }
    this.#isAsking = false;
    if (this.isStopped) return;
    this.#timer = setTimeout(() => void this.ask(), Math.max(0, INTERVAL_MS - (performance.now() - askedMs)));
    update();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#clock);
    document.removeEventListener('visibilitychange', this.#onVisibility);
  }

  readonly #onVisibility = () => {
    if (document.hidden) return;
    this.#sinceMs = performance.now();
    void this.ask();
  };
}
