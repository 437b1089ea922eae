import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

import { bytesOfUuid, uuidOfBytes } from '../../domain/uuid.ts';

const PREFIX = 'prt_';
const SESSION_BYTES = 16;
const GENERATION_BYTES = 4;
const NAMED_BYTES = SESSION_BYTES + GENERATION_BYTES;
const MAC_BYTES = 32;
const FORM = /^prt_[A-Za-z0-9_-]{70}$/;

/** What a PostgreSQL integer holds, less one; a refresh every second takes 68 years to get there. */
export const MAX_GENERATION = 0x7fff_fffe;

const NONCE_RANDOM_BYTES = 16;
const HOLDER_MAC_BYTES = 16;

/** A refresh token taken apart. Nothing in it is believed before `isGenuine`. */
export interface PresentedRefreshToken {
  /** A UUID in lower case. */
  readonly sessionId: string;
  readonly generation: number;
  readonly mac: Uint8Array;
}

/**
 * Makes and checks refresh tokens: `prt_` and base64url of session id (16 bytes), generation (4 bytes) and
 * HMAC-SHA256 over both. The MAC's key comes by HKDF from the root key, which the database holds only sealed, and the
 * session's nonce, so that the database alone yields no token (S01), and the same generation always gives the same token.
 */
export class RefreshTokens {
  readonly #rootKey: Uint8Array;
  readonly #holderKey: Buffer;
  /** By the nonce as it was read: a refresh judges one token and makes the next, and derives their key once. */
  readonly #keys = new WeakMap<Uint8Array, Buffer>();

  /** @param rootKey 32 bytes */
  constructor(rootKey: Uint8Array) {
    if (rootKey.length !== 32) throw new RangeError('the root key of refresh tokens has 32 bytes');
    this.#rootKey = rootKey;
    this.#holderKey = Buffer.from(hkdfSync('sha256', rootKey, '', 'postern session holder', 32));
  }

  /**
   * A nonce for a new session: the random bytes, and a MAC of whose session it is. Whoever can write to the database, and
   * has a session, could else make it another user's (D20).
   *
   * @param random 16 random bytes
   */
  nonceFor(userId: string, random: Uint8Array): Buffer {
    if (random.length !== NONCE_RANDOM_BYTES) throw new RangeError('a nonce takes 16 random bytes');
    return Buffer.concat([random, this.#holderMac(userId, random)]);
  }

  /** False for another's session; those of releases before that are of 16 bytes, and do not tell. */
  isNonceOf(userId: string, nonce: Uint8Array): boolean {
    if (nonce.length === NONCE_RANDOM_BYTES) return true;
    const expected = this.#holderMac(userId, nonce.subarray(0, NONCE_RANDOM_BYTES));
    const mac = nonce.subarray(NONCE_RANDOM_BYTES);
    return mac.length === expected.length && timingSafeEqual(mac, expected);
  }

  /** @param nonce the session's */
  make(nonce: Uint8Array, sessionId: string, generation: number): string {
    const named = namedBytes(sessionId, generation);
    return PREFIX + Buffer.concat([named, this.#mac(nonce, named)]).toString('base64url');
  }

  /** Whether the token was made here for the session with this nonce; compared in constant time (S02). */
  isGenuine(nonce: Uint8Array, token: PresentedRefreshToken): boolean {
    const named = namedBytes(token.sessionId, token.generation);
    return timingSafeEqual(this.#mac(nonce, named), token.mac);
  }

  #mac(nonce: Uint8Array, named: Uint8Array): Buffer {
    return createHmac('sha256', this.#keyOf(nonce)).update(named).digest();
  }

  #holderMac(userId: string, random: Uint8Array): Buffer {
    const named = createHmac('sha256', this.#holderKey).update(random).update(userId);
    return named.digest().subarray(0, HOLDER_MAC_BYTES);
  }

  #keyOf(nonce: Uint8Array): Buffer {
    const known = this.#keys.get(nonce);
    if (known) return known;
    const key = Buffer.from(hkdfSync('sha256', this.#rootKey, nonce, 'postern refresh token', 32));
    this.#keys.set(nonce, key);
    return key;
  }
}

/** What the MAC is over. */
function namedBytes(sessionId: string, generation: number): Buffer {
  const named = Buffer.alloc(NAMED_BYTES);
  named.set(bytesOfUuid(sessionId));
  named.writeUInt32BE(generation, SESSION_BYTES);
  return named;
}

/** Takes a refresh token apart, or gives null for whatever is not exactly of its form; needs no database (S02). */
export function parseRefreshToken(text: string): PresentedRefreshToken | null {
  if (!FORM.test(text)) return null;
  const encoded = text.slice(PREFIX.length);
  const bytes = Buffer.from(encoded, 'base64url');
  // Unused bits of the last character must be zero, or one token would have several spellings.
  if (bytes.length !== NAMED_BYTES + MAC_BYTES || bytes.toString('base64url') !== encoded) return null;
  const generation = bytes.readUInt32BE(SESSION_BYTES);
  if (generation > MAX_GENERATION) return null;
  const sessionId = uuidOfBytes(bytes.subarray(0, SESSION_BYTES));
  return { sessionId, generation, mac: bytes.subarray(NAMED_BYTES) };
}

/** Whether a text means to be a refresh token. */
export function looksLikeRefreshToken(text: string): boolean {
  return text.startsWith(PREFIX);
}
