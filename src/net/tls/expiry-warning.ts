/** Automated renewal replaces certificates weeks before they expire; with less time left, it has probably failed. */
export const EXPIRY_WARNING_MS = 14 * 86_400_000;
const WARNING_INTERVAL_MS = 86_400_000;

/** Warns once a day that a certificate expires soon or has expired. */
export class ExpiryWarning {
  readonly #warn: (expiresAtMs: number) => void;
  #expiresAtMs = NaN;
  #warnedAtMs = -Infinity;

  constructor(warn: (expiresAtMs: number) => void) {
    this.#warn = warn;
  }

  /** Call periodically with the expiry of the current certificate. A changed expiry is reported at once. */
  check(expiresAtMs: number): void {
    const nowMs = Date.now();
    if (expiresAtMs !== this.#expiresAtMs) this.#warnedAtMs = -Infinity;
    this.#expiresAtMs = expiresAtMs;
    if (expiresAtMs - nowMs > EXPIRY_WARNING_MS || nowMs - this.#warnedAtMs < WARNING_INTERVAL_MS) return;
    this.#warnedAtMs = nowMs;
    this.#warn(expiresAtMs);
  }
}
