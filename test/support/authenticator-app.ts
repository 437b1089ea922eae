import { RFC_4648_ALPHABET } from '../../src/crypto/base32.ts';
import { totpCode, totpStep } from '../../src/features/second-factors/totp/totp.ts';

/**
 * An authenticator app with one secret. Its codes are of the present step and of the next one: each can be used once, and a
 * service accepts both, also when the step changes between the making and the check.
 */
export class AuthenticatorApp {
  readonly #secret: Buffer;

  /** @param secret in base32 */
  constructor(secret: string) {
    const bits = Array.from(secret, (character) =>
      RFC_4648_ALPHABET.indexOf(character).toString(2).padStart(5, '0'),
    ).join('');
    this.#secret = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  }

  codes(): { readonly present: string; readonly next: string } {
    const step = totpStep(Date.now() / 1000);
    return { present: totpCode(this.#secret, step), next: totpCode(this.#secret, step + 1) };
  }

  /** A code of yesterday, unless it happens to be one of the present. */
  old(): string {
    const { present, next } = this.codes();
    const step = totpStep(Date.now() / 1000);
    const candidates = [-2_880, -2_881, -2_882, -2_883].map((offset) =>
      totpCode(this.#secret, step + offset),
    );
    const accepted = [present, next, totpCode(this.#secret, step - 1)];
    return candidates.find((code) => !accepted.includes(code)) ?? '';
  }
}
