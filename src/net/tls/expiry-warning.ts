/** Old certificates are renewed with weeks to spare; one with less than this left has been forgotten. */
export const EXPIRY_WARNING_MS = 14 * 86_400_000;
const WARN_EVERY_MS = 86_400_000;

/** Says once a day that a certificate ends soon, or has ended. */
export class ExpiryAlarm {
  readonly #ring: (expiresAtMs: number) => void;
  #expiresAtMs = NaN;
  #rangAtMs = -Infinity;

  constructor(ring: (expiresAtMs: number) => void) {
    this.#ring = ring;
  }

  /** To be called now and then, with the certificate of the moment; another one is told of at once. */
  look(expiresAtMs: number): void {
    const nowMs = Date.now();
    if (expiresAtMs !== this.#expiresAtMs) this.#rangAtMs = -Infinity;
    this.#expiresAtMs = expiresAtMs;
    if (expiresAtMs - nowMs > EXPIRY_WARNING_MS || nowMs - this.#rangAtMs < WARN_EVERY_MS) return;
    this.#rangAtMs = nowMs;
    this.#ring(expiresAtMs);
  }
}
