import { createHash, createHmac, randomBytes } from 'node:crypto';

import { bytesOfUuid } from '../../../domain/uuid.ts';
import { sameDigest } from '../../../crypto/keyed-digests.ts';
import { isCanonicalBase64url } from '../../../tokens/verify/compact-jws.ts';
import type { UsedOnce } from '../../used-once/used-once-queries.ts';

/** Long enough to find a phone and to unlock it. */
export const CHALLENGE_SECONDS = 300;

/** Layout of a token: purpose(1) user(16) expiry(6, Unix seconds) challenge(32) MAC(32). */
const USER_AT = 1;
const EXPIRY_AT = 17;
const CHALLENGE_AT = 23;
const MAC_AT = 55;
const TOKEN_BYTES = 87;
const TOKEN_CHARACTERS = 116;

const purposes = { registration: 1, login: 2 } as const;

/** What a challenge was made for. One of a login is for nobody in particular: who answers it is in the answer. */
export type ChallengeUse =
  | { readonly purpose: 'registration'; readonly userId: string }
  | { readonly purpose: 'login'; readonly userId: null };

export interface IssuedChallenge {
  /** 32 random bytes in base64url. */
  readonly challenge: string;
  readonly token: string;
  readonly expiresAt: Date;
}

/** A challenge that was issued for this use and has not expired. It may have been used. */
export interface OpenChallenge {
  readonly challenge: Uint8Array;
  /** Accepts it once. */
  readonly usedOnce: UsedOnce;
}

/**
 * Issues the challenges of passkeys. A token carries all about its challenge, with a MAC, so that beginning costs the database
 * nothing: everybody may begin a login.
 */
export class PasskeyChallenges {
  readonly #deriveKey: () => Uint8Array;
  #key: Uint8Array | null = null;
  readonly #nowMs: () => number;

  /**
   * @param deriveKey returns 32 bytes, always the same; its errors propagate to the caller
   * @param nowMs Unix time, ms
   */
  constructor(deriveKey: () => Uint8Array, nowMs: () => number) {
    this.#deriveKey = deriveKey;
    this.#nowMs = nowMs;
  }

  issue(use: ChallengeUse): IssuedChallenge {
    const expiresAtSeconds = Math.floor(this.#nowMs() / 1000) + CHALLENGE_SECONDS;
    const challenge = randomBytes(MAC_AT - CHALLENGE_AT);
    const content = Buffer.concat([headOf(use), uint48(expiresAtSeconds), challenge]);
    return {
      challenge: challenge.toString('base64url'),
      token: Buffer.concat([content, this.#mac(content)]).toString('base64url'),
      expiresAt: new Date(expiresAtSeconds * 1000),
    };
  }

  /** @returns `unknown` for a token that was not issued for this use */
  open(token: string, use: ChallengeUse): OpenChallenge | 'unknown' | 'expired' {
    if (token.length !== TOKEN_CHARACTERS || !isCanonicalBase64url(token)) return 'unknown';
    const bytes = Buffer.from(token, 'base64url');
    const content = bytes.subarray(0, MAC_AT);
    if (bytes.length !== TOKEN_BYTES || !sameDigest(bytes.subarray(MAC_AT), this.#mac(content)))
      return 'unknown';
    if (!headOf(use).equals(content.subarray(0, EXPIRY_AT))) return 'unknown';
    const expiresAtSeconds = content.readUIntBE(EXPIRY_AT, CHALLENGE_AT - EXPIRY_AT);
    if (this.#nowMs() >= expiresAtSeconds * 1000) return 'expired';
    const challenge = content.subarray(CHALLENGE_AT);
    const digest = createHash('sha256').update(challenge).digest();
    return { challenge, usedOnce: { purpose: 'passkey-challenge', digest, expiresAtSeconds } };
  }

  #mac(content: Uint8Array): Buffer {
    this.#key ??= this.#deriveKey();
    return createHmac('sha256', this.#key).update(content).digest();
  }
}

function headOf({ purpose, userId }: ChallengeUse): Buffer {
  const user = userId === null ? Buffer.alloc(EXPIRY_AT - USER_AT) : bytesOfUuid(userId);
  return Buffer.concat([Buffer.of(purposes[purpose]), user]);
}

function uint48(value: number): Buffer {
  const bytes = Buffer.alloc(CHALLENGE_AT - EXPIRY_AT);
  bytes.writeUIntBE(value, 0, bytes.length);
  return bytes;
}
