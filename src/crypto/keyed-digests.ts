import { createHmac, timingSafeEqual } from 'node:crypto';

import { bytesOfScannableSecret, makeScannableSecret, type SecretPrefix } from './api-secret.ts';

/** Layout of a secret's 32 bytes: 20 random, a 4-byte tag that marks secrets bound to an owner, an 8-byte MAC of the owner. */
export const SECRET_RANDOM_BYTES = 20;
const OWNER_TAG_BYTES = 4;
const OWNER_MAC_BYTES = 8;

/** For each kind of secret, the purpose string of its derived key and its prefix. */
const kinds = {
  service: { purpose: 'service secret', prefix: 'psk_' },
  reset: { purpose: 'password reset token', prefix: 'prs_' },
} as const satisfies Record<string, { purpose: string; prefix: SecretPrefix }>;

/**
 * Makes secrets with 160 random bits and computes the digests by which the database stores them: HMAC-SHA256 under keys that
 * are not in the database. An attacker with only the database can neither use a row nor check a guessed or leaked secret
 * against it. A slow hash or a throttle would add nothing: 160 bits cannot be guessed.
 *
 * Each secret contains a MAC of its owner. Without it, an attacker who can write to the database and has one valid secret
 * could copy its digest into another owner's row (D20). Secrets of earlier releases contain no MAC and are still accepted.
 */
export class SecretDigests {
  readonly #deriveKey: (purpose: string) => Uint8Array;

  /** @param deriveKey returns the 32-byte key of a purpose, always the same one; its errors propagate to the caller */
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

  /** The digest of a service secret, 32 bytes. */
  ofServiceSecret(secret: string): Buffer {
    return this.#digest(kinds.service.purpose, secret);
  }

  /**
   * The MAC of a service account's public key, 32 bytes. Without it, an attacker who can write to the database could give
   * an account a key of his own (D20).
   *
   * @param kid the RFC 7638 thumbprint, which stands for the key
   */
  ofServiceKey(accountId: string, kid: string): Buffer {
    return this.#digest('service key', `${accountId} ${kid}`);
  }

  /**
   * The digest of who a token of another issuer is for, for the audit trail: equal subjects have equal digests, and the
   * names of somebody else's system are not in it.
   */
  ofOutsideSubject(issuerId: string, subject: string): Buffer {
    return this.#digest('outside subject', `${issuerId} ${subject}`);
  }

  /**
   * The digest of a recovery code, 32 bytes. The user is part of it, so that an attacker who can write to the database cannot
   * give a user a code of his own.
   */
  ofRecoveryCode(userId: string, code: string): Buffer {
    return this.#digest('recovery code', `${userId} ${code}`);
  }

  /** The digest of a password reset token, 32 bytes. */
  ofResetToken(token: string): Buffer {
    return this.#digest(kinds.reset.purpose, token);
  }

  /** False when the secret is bound to another account. True is no proof: the stored digest must still be compared. */
  couldBeSecretOf(accountId: string, secret: string): boolean {
    return this.#couldBelongTo(kinds.service, accountId, secret);
  }

  /** False when the token is bound to another user. True is no proof: the stored digest must still be compared. */
  couldBeResetOf(userId: string, token: string): boolean {
    return this.#couldBelongTo(kinds.reset, userId, token);
  }

  #make({ purpose, prefix }: (typeof kinds)[keyof typeof kinds], owner: string, random: Uint8Array): string {
    if (random.length !== SECRET_RANDOM_BYTES) throw new RangeError('a secret takes 20 random bytes');
    const parts = [random, this.#ownerTag(purpose, random), this.#ownerMac(purpose, owner, random)];
    return makeScannableSecret(prefix, Buffer.concat(parts));
  }

  #couldBelongTo({ purpose }: { purpose: string }, owner: string, secret: string): boolean {
    const bytes = bytesOfScannableSecret(secret);
    const random = bytes.subarray(0, SECRET_RANDOM_BYTES);
    const ownerTag = bytes.subarray(SECRET_RANDOM_BYTES, -OWNER_MAC_BYTES);
    if (!timingSafeEqual(ownerTag, this.#ownerTag(purpose, random))) return true;
    return timingSafeEqual(bytes.subarray(-OWNER_MAC_BYTES), this.#ownerMac(purpose, owner, random));
  }

  #ownerTag(purpose: string, random: Uint8Array): Buffer {
    return this.#digest(`${purpose} with an owner`, random).subarray(0, OWNER_TAG_BYTES);
  }

  #ownerMac(purpose: string, owner: string, random: Uint8Array): Buffer {
    const taggedOwner = Buffer.concat([random, Buffer.from(owner, 'utf8')]);
    return this.#digest(`${purpose} owner`, taggedOwner).subarray(0, OWNER_MAC_BYTES);
  }

  #digest(purpose: string, content: string | Uint8Array): Buffer {
    return createHmac('sha256', this.#deriveKey(purpose)).update(content).digest();
  }
}

/** Compares two digests in constant time. */
export function sameDigest(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
