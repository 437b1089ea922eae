import { createHmac, timingSafeEqual } from 'node:crypto';

import { bytesOfScannableSecret, makeScannableSecret, type SecretPrefix } from './api-secret.ts';

/** Of a secret's 32 bytes 20 are random; by the next 4 it is known that the last 8 name its owner. */
export const SECRET_RANDOM_BYTES = 20;
const OWNER_TAG_BYTES = 4;
const OWNER_BYTES = 8;

/** What a kind of secret is called where keys are derived, and how it begins. */
const kinds = {
  service: { purpose: 'service secret', prefix: 'psk_' },
  reset: { purpose: 'password reset token', prefix: 'prs_' },
} as const satisfies Record<string, { purpose: string; prefix: SecretPrefix }>;

/**
 * Secrets that 160 random bits keep from being guessed, and how the database knows them: by HMAC-SHA256 under keys that it
 * does not hold. Whoever has the database alone can neither use a row nor check a guess or a leaked secret against it. A slow
 * hash would add nothing: nobody guesses so many bits, which is why such secrets need no throttle either.
 *
 * Each secret is for one owner, and says so by a MAC inside: whoever can write to the database, and was given one secret,
 * could else copy its digest into another's row (D20). Those of releases before that say nothing, and are taken.
 */
export class SecretDigests {
  readonly #deriveKey: (purpose: string) => Uint8Array;

  /** @param deriveKey a key of 32 bytes for each purpose, always the same one; whatever it throws comes out of the digests */
  constructor(deriveKey: (purpose: string) => Uint8Array) {
    this.#deriveKey = deriveKey;
  }

  /** @param random 20 random bytes */
  makeServiceSecret(accountId: string, random: Uint8Array): string {
    return this.#make(kinds.service, accountId, random);
  }

  /** @param random 20 random bytes */
  makeResetToken(userId: string, random: Uint8Array): string {
    return this.#make(kinds.reset, userId, random);
  }

  /** 32 bytes. */
  ofServiceSecret(secret: string): Buffer {
    return this.#digest(kinds.service.purpose, secret);
  }

  /** 32 bytes. */
  ofResetToken(token: string): Buffer {
    return this.#digest(kinds.reset.purpose, token);
  }

  /** False for the secret of another account; the digest alone tells whether it is this one's. */
  couldBeSecretOf(accountId: string, secret: string): boolean {
    return this.#couldBelongTo(kinds.service, accountId, secret);
  }

  /** False for a token that was made for another user; the digest alone tells whether it was made at all. */
  couldBeResetOf(userId: string, token: string): boolean {
    return this.#couldBelongTo(kinds.reset, userId, token);
  }

  #make({ purpose, prefix }: (typeof kinds)[keyof typeof kinds], owner: string, random: Uint8Array): string {
    if (random.length !== SECRET_RANDOM_BYTES) throw new RangeError('a secret takes 20 random bytes');
    const parts = [random, this.#ownerTagOf(purpose, random), this.#ownerOf(purpose, owner, random)];
    return makeScannableSecret(prefix, Buffer.concat(parts));
  }

  #couldBelongTo({ purpose }: { purpose: string }, owner: string, secret: string): boolean {
    const bytes = bytesOfScannableSecret(secret);
    const random = bytes.subarray(0, SECRET_RANDOM_BYTES);
    const ownerTag = bytes.subarray(SECRET_RANDOM_BYTES, -OWNER_BYTES);
    if (!timingSafeEqual(ownerTag, this.#ownerTagOf(purpose, random))) return true;
    return timingSafeEqual(bytes.subarray(-OWNER_BYTES), this.#ownerOf(purpose, owner, random));
  }

  #ownerTagOf(purpose: string, random: Uint8Array): Buffer {
    return this.#digest(`${purpose} with an owner`, random).subarray(0, OWNER_TAG_BYTES);
  }

  #ownerOf(purpose: string, owner: string, random: Uint8Array): Buffer {
    const taggedOwner = Buffer.concat([random, Buffer.from(owner, 'utf8')]);
    return this.#digest(`${purpose} owner`, taggedOwner).subarray(0, OWNER_BYTES);
  }

  #digest(purpose: string, content: string | Uint8Array): Buffer {
    return createHmac('sha256', this.#deriveKey(purpose)).update(content).digest();
  }
}

/** Whether two digests are the same, in constant time. */
export function sameDigest(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
