/**
 * Silence by chance is rare; a frozen database is silent to everybody, and each caller that asks it waits in vain. The
 * two probes of one round and the first caller are enough: whoever waited in line behind that caller must not wait again.
 */
const OPENS_AFTER = 3;

/**
 * Remembers whether the database has been silent: not refusing, which takes no time, but giving no answer at all. While
 * it is open nobody else waits for one (D10). Whoever probes goes on asking; the first answer closes it.
 */
export class CircuitBreaker {
  #timeouts = 0;

  get isOpen(): boolean {
    return this.#timeouts >= OPENS_AFTER;
  }

  /** Any answer counts, a refusal too: the database lives. */
  recordAnswer(): void {
    this.#timeouts = 0;
  }

  recordTimeout(): void {
    this.#timeouts += 1;
  }
}
