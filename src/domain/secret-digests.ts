import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * How the database knows secrets of 256 random bits: by HMAC-SHA256 under keys that it does not hold. Whoever has the
 * database alone can neither use a row nor check a guess or a leaked secret against it. A slow hash would add nothing:
 * nobody guesses 256 bits, which is why such secrets need no throttle either.
 */
export class SecretDigests {
  readonly #deriveKey: (purpose: string) => Uint8Array;

  /** @param deriveKey a key of 32 bytes for each purpose, always the same one; whatever it throws comes out of the digests */
  constructor(deriveKey: (purpose: string) => Uint8Array) {
    this.#deriveKey = deriveKey;
  }

  /** 32 bytes. */
  ofServiceSecret(secret: string): Buffer {
    return this.#digest('service secret', secret);
  }

  /** 32 bytes. */
  ofResetToken(token: string): Buffer {
    return this.#digest('password reset token', token);
  }

  #digest(purpose: string, text: string): Buffer {
    return createHmac('sha256', this.#deriveKey(purpose)).update(text).digest();
  }
}

/** Whether two digests are the same, in constant time. */
export function sameDigest(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
