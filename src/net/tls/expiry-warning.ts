/** Old certificates are renewed with weeks to spare; one with less than this left has been forgotten. */
export const EXPIRY_WARNING_MS = 14 * 86_400_000;
const WARNING_INTERVAL_MS = 86_400_000;

/** Says once a day that a certificate ends soon, or has ended. */
export class ExpiryWarning {
  readonly #warn: (expiresAtMs: number) => void;
  #expiresAtMs = NaN;
  #warnedAtMs = -Infinity;

  constructor(warn: (expiresAtMs: number) => void) {
    this.#warn = warn;
  }

  /** To be called now and then, with the certificate of the moment; another one is told of at once. */
  check(expiresAtMs: number): void {
    const nowMs = Date.now();
    if (expiresAtMs !== this.#expiresAtMs) this.#warnedAtMs = -Infinity;
    this.#expiresAtMs = expiresAtMs;
    if (expiresAtMs - nowMs > EXPIRY_WARNING_MS || nowMs - this.#warnedAtMs < WARNING_INTERVAL_MS) return;
    this.#warnedAtMs = nowMs;
    this.#warn(expiresAtMs);
  }
}
