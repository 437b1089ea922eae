import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

import { bytesOfUuid, uuidOfBytes } from '../../domain/uuid.ts';

const PREFIX = 'prt_';
const SESSION_BYTES = 16;
const GENERATION_BYTES = 4;
const HEAD_BYTES = SESSION_BYTES + GENERATION_BYTES;
/** Both forms have 32 bytes after the head: a MAC, or the nonce and a truncated MAC. */
const TAIL_BYTES = 32;
const PATTERN = /^prt_[A-Za-z0-9_-]{70}$/;

/** The maximum of a PostgreSQL integer, minus one. One refresh per second reaches it after 68 years. */
export const MAX_GENERATION = 0x7fff_fffe;

/** The bit of the generation that marks the form with the nonce. Releases without that form refuse the token. */
const NONCE_FORM_BIT = 0x8000_0000;

const NONCE_RANDOM_BYTES = 16;
const NONCE_FORM_MAC_BYTES = TAIL_BYTES - NONCE_RANDOM_BYTES;
const OWNER_MAC_BYTES = 16;

/**
 * The form of the refresh tokens to make. Both are accepted.
 * - 1: a MAC of 32 bytes, under a key derived from the root key and the session's nonce. To judge it takes the nonce, and so
 *   a look at the database.
 * - 2: 16 bytes of the nonce, then a MAC of 16 bytes under a key derived from the root key. It is judged before the database
 *   is asked, and the nonce when the session is found.
 */
export type RefreshTokenForm = '1' | '2';

/** A parsed refresh token. Do not trust its contents before `isGenuine` has returned true. */
export interface PresentedRefreshToken {
  /** A UUID in lower case. */
  readonly sessionId: string;
  readonly generation: number;
  /** The random part of the session's nonce; null in form 1. */
  readonly nonce: Uint8Array | null;
  readonly mac: Uint8Array;
}

/**
 * Makes and verifies refresh tokens: `prt_`, then the base64url of session id (16 bytes), form and generation (4 bytes), and
 * 32 bytes that depend on the form. The database holds the root key only in sealed form, so its contents are not enough to
 * make a token; nor is the root key without the random nonce of the session (S01). The same generation always gives the same
 * token.
 */
export class RefreshTokens {
  readonly #rootKey: Uint8Array;
  readonly #form: RefreshTokenForm;
  readonly #ownerKey: Buffer;
  readonly #nonceFormKey: Buffer;
  /** MAC keys of form 1 by nonce object: a refresh verifies one token and makes the next, and derives their key only once. */
  readonly #keys = new WeakMap<Uint8Array, Buffer>();

  /**
   * @param rootKey 32 bytes
   * @param form the form of the tokens to make
   */
  constructor(rootKey: Uint8Array, form: RefreshTokenForm = '2') {
    if (rootKey.length !== 32) throw new RangeError('the root key of refresh tokens must have 32 bytes');
    this.#rootKey = rootKey;
    this.#form = form;
    this.#ownerKey = Buffer.from(hkdfSync('sha256', rootKey, '', 'postern session holder', 32));
    this.#nonceFormKey = Buffer.from(hkdfSync('sha256', rootKey, '', 'postern refresh token with nonce', 32));
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
    const ownNonce = this.#form === '2' ? randomPartOf(nonce) : null;
    const macInput = macInputOf(sessionId, generation, ownNonce);
    const mac = ownNonce ? this.#nonceFormMac(macInput) : this.#mac(nonce, macInput);
    return PREFIX + Buffer.concat([macInput, mac]).toString('base64url');
  }

  /**
   * Whether the token can be genuine, as far as that shows without the session: for form 2 whether its MAC is valid. Compares
   * in constant time (S02).
   */
  mayBeGenuine({ sessionId, generation, nonce, mac }: PresentedRefreshToken): boolean {
    return (
      nonce === null || timingSafeEqual(this.#nonceFormMac(macInputOf(sessionId, generation, nonce)), mac)
    );
  }

  /** Whether the token was made for the session with this nonce. Compares in constant time (S02). */
  isGenuine(sessionNonce: Uint8Array, token: PresentedRefreshToken): boolean {
    const { sessionId, generation, nonce, mac } = token;
    if (nonce !== null) return this.mayBeGenuine(token) && timingSafeEqual(randomPartOf(sessionNonce), nonce);
    return timingSafeEqual(this.#mac(sessionNonce, macInputOf(sessionId, generation, null)), mac);
  }

  #mac(nonce: Uint8Array, macInput: Uint8Array): Buffer {
    return createHmac('sha256', this.#macKey(nonce)).update(macInput).digest();
  }

  #nonceFormMac(macInput: Uint8Array): Buffer {
    const hmac = createHmac('sha256', this.#nonceFormKey).update(macInput);
    return hmac.digest().subarray(0, NONCE_FORM_MAC_BYTES);
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

/** The random part of a session's nonce, which is what a token of form 2 carries. */
export function randomPartOf(nonce: Uint8Array): Uint8Array {
  return nonce.subarray(0, NONCE_RANDOM_BYTES);
}

/** The bytes that the MAC authenticates. Their length differs between the forms, and so do the keys. */
function macInputOf(sessionId: string, generation: number, nonce: Uint8Array | null): Buffer {
  const macInput = Buffer.alloc(HEAD_BYTES + (nonce?.length ?? 0));
  macInput.set(bytesOfUuid(sessionId));
  macInput.writeUInt32BE(nonce ? generation + NONCE_FORM_BIT : generation, SESSION_BYTES);
  if (nonce) macInput.set(nonce, HEAD_BYTES);
  return macInput;
}

/** Parses a refresh token. Returns null for text that is not exactly in a format; needs no database (S02). */
export function parseRefreshToken(text: string): PresentedRefreshToken | null {
  if (!PATTERN.test(text)) return null;
  const encoded = text.slice(PREFIX.length);
  const bytes = Buffer.from(encoded, 'base64url');
  // The unused bits of the last character must be zero; otherwise one token would have several encodings.
  if (bytes.length !== HEAD_BYTES + TAIL_BYTES || bytes.toString('base64url') !== encoded) return null;
  const marked = bytes.readUInt32BE(SESSION_BYTES);
  const hasNonce = marked >= NONCE_FORM_BIT;
  const generation = hasNonce ? marked - NONCE_FORM_BIT : marked;
  if (generation > MAX_GENERATION) return null;
  const sessionId = uuidOfBytes(bytes.subarray(0, SESSION_BYTES));
  const tail = bytes.subarray(HEAD_BYTES);
  return hasNonce
    ? { sessionId, generation, nonce: randomPartOf(tail), mac: tail.subarray(NONCE_RANDOM_BYTES) }
    : { sessionId, generation, nonce: null, mac: tail };
}

/** Whether the text has the prefix of a refresh token; it may still be malformed. */
export function looksLikeRefreshToken(text: string): boolean {
  return text.startsWith(PREFIX);
}
