import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

import { bytesOfUuid, uuidOfBytes } from '../../domain/uuid.ts';

const PREFIX = 'prt_';
const SESSION_BYTES = 16;
const GENERATION_BYTES = 4;
const MAC_INPUT_BYTES = SESSION_BYTES + GENERATION_BYTES;
const MAC_BYTES = 32;
const PATTERN = /^prt_[A-Za-z0-9_-]{70}$/;

/** The maximum of a PostgreSQL integer, minus one. One refresh per second reaches it after 68 years. */
export const MAX_GENERATION = 0x7fff_fffe;

const NONCE_RANDOM_BYTES = 16;
const OWNER_MAC_BYTES = 16;

/** A parsed refresh token. Do not trust its contents before `isGenuine` has returned true. */
export interface PresentedRefreshToken {
  /** A UUID in lower case. */
  readonly sessionId: string;
  readonly generation: number;
  readonly mac: Uint8Array;
}

/**
 * Makes and verifies refresh tokens: `prt_`, then the base64url of session id (16 bytes), generation (4 bytes) and
 * HMAC-SHA256 over both. The key of the MAC is derived by HKDF from the root key and the nonce of the session. The
 * database holds the root key only in sealed form, so its contents are not enough to make a token (S01). The same
 * generation always gives the same token.
 */
export class RefreshTokens {
  readonly #rootKey: Uint8Array;
  readonly #ownerKey: Buffer;
  /** MAC keys by nonce object: a refresh verifies one token and makes the next, and derives their key only once. */
  readonly #keys = new WeakMap<Uint8Array, Buffer>();

  /** @param rootKey 32 bytes */
  constructor(rootKey: Uint8Array) {
    if (rootKey.length !== 32) throw new RangeError('the root key of refresh tokens must have 32 bytes');
    this.#rootKey = rootKey;
    this.#ownerKey = Buffer.from(hkdfSync('sha256', rootKey, '', 'postern session holder', 32));
  }

  /**
   * Makes the nonce of a new session: the random bytes, then a MAC that binds them to the user. Without the MAC, an
   * attacker who has a session and can write to the database could assign the session to another user (D20).
   *
   * @param random 16 random bytes
   * @returns 32 bytes
   */
  nonceFor(userId: string, random: Uint8Array): Buffer {
    if (random.length !== NONCE_RANDOM_BYTES) throw new RangeError('a session nonce needs 16 random bytes');
    return Buffer.concat([random, this.#ownerMac(userId, random)]);
  }

  /**
   * Whether the nonce was made for this user. Nonces of earlier releases have 16 bytes and no MAC; they pass for every
   * user.
   */
  isNonceOf(userId: string, nonce: Uint8Array): boolean {
    if (nonce.length === NONCE_RANDOM_BYTES) return true;
    const expected = this.#ownerMac(userId, nonce.subarray(0, NONCE_RANDOM_BYTES));
    const mac = nonce.subarray(NONCE_RANDOM_BYTES);
    return mac.length === expected.length && timingSafeEqual(mac, expected);
  }

  /**
   * Makes the refresh token of one generation of a session.
   *
   * @param nonce the nonce of the session
   * @param sessionId a UUID
   */
  make(nonce: Uint8Array, sessionId: string, generation: number): string {
    const macInput = macInputOf(sessionId, generation);
    return PREFIX + Buffer.concat([macInput, this.#mac(nonce, macInput)]).toString('base64url');
  }

  /** Whether the MAC of the token is valid for the session with this nonce. Compares in constant time (S02). */
  isGenuine(nonce: Uint8Array, token: PresentedRefreshToken): boolean {
    const macInput = macInputOf(token.sessionId, token.generation);
    return timingSafeEqual(this.#mac(nonce, macInput), token.mac);
  }

  #mac(nonce: Uint8Array, macInput: Uint8Array): Buffer {
    return createHmac('sha256', this.#macKey(nonce)).update(macInput).digest();
  }

  #ownerMac(userId: string, random: Uint8Array): Buffer {
    const hmac = createHmac('sha256', this.#ownerKey).update(random).update(userId);
    return hmac.digest().subarray(0, OWNER_MAC_BYTES);
  }

  #macKey(nonce: Uint8Array): Buffer {
    const cached = this.#keys.get(nonce);
    if (cached) return cached;
    const key = Buffer.from(hkdfSync('sha256', this.#rootKey, nonce, 'postern refresh token', 32));
    this.#keys.set(nonce, key);
    return key;
  }
}

/** The bytes that the MAC authenticates. */
function macInputOf(sessionId: string, generation: number): Buffer {
  const macInput = Buffer.alloc(MAC_INPUT_BYTES);
  macInput.set(bytesOfUuid(sessionId));
  macInput.writeUInt32BE(generation, SESSION_BYTES);
  return macInput;
}

/** Parses a refresh token. Returns null for text that is not exactly in the format; needs no database (S02). */
export function parseRefreshToken(text: string): PresentedRefreshToken | null {
  if (!PATTERN.test(text)) return null;
  const encoded = text.slice(PREFIX.length);
  const bytes = Buffer.from(encoded, 'base64url');
  // The unused bits of the last character must be zero; otherwise one token would have several encodings.
  if (bytes.length !== MAC_INPUT_BYTES + MAC_BYTES || bytes.toString('base64url') !== encoded) return null;
  const generation = bytes.readUInt32BE(SESSION_BYTES);
  if (generation > MAX_GENERATION) return null;
  const sessionId = uuidOfBytes(bytes.subarray(0, SESSION_BYTES));
  return { sessionId, generation, mac: bytes.subarray(MAC_INPUT_BYTES) };
}

/** Whether the text has the prefix of a refresh token; it may still be malformed. */
export function looksLikeRefreshToken(text: string): boolean {
  return text.startsWith(PREFIX);
}
