/**
 * Consecutive timeouts after which the circuit opens. Chance timeouts are rare, while a frozen database answers nobody.
 * Three are reached by the two probes of one round and the first call, so that the calls queued behind it do not wait
 * for another timeout.
 */
const MAX_TIMEOUTS = 3;

/**
 * Opens when the database has stopped answering. Errors from the server do not count, since they come without delay.
 * While it is open, calls are refused at once (D10). The probes go on, and the first answer closes it.
 */
export class CircuitBreaker {
  #timeouts = 0;

  get isOpen(): boolean {
    return this.#timeouts >= MAX_TIMEOUTS;
  }

  /** Also for an error from the server, which shows that it is alive. */
  recordAnswer(): void {
    this.#timeouts = 0;
  }

  recordTimeout(): void {
    this.#timeouts += 1;
  }
}
