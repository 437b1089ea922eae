/**
 * The refresh tokens of the release before this one (commit 40d6263: `src/tokens/issue/refresh-token-codec.ts` with what it
 * imports), as esbuild 0.28 bundles it (`--bundle --platform=node --format=esm --target=es2022`). Instances of that release
 * run beside this one during an upgrade, and after a rollback.
 */
// src/tokens/issue/refresh-token-codec.ts
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

// src/domain/uuid.ts
function uuidOfBytes(bytes) {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
function bytesOfUuid(uuid) {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

// src/tokens/issue/refresh-token-codec.ts
var PREFIX = 'prt_';
var SESSION_BYTES = 16;
var GENERATION_BYTES = 4;
var MAC_INPUT_BYTES = SESSION_BYTES + GENERATION_BYTES;
var MAC_BYTES = 32;
var PATTERN = /^prt_[A-Za-z0-9_-]{70}$/;
var MAX_GENERATION = 2147483646;
var NONCE_RANDOM_BYTES = 16;
var OWNER_MAC_BYTES = 16;
var RefreshTokens = class {
  #rootKey;
  #ownerKey;
  /** MAC keys by nonce object: a refresh verifies one token and makes the next, and derives their key only once. */
  #keys = /* @__PURE__ */ new WeakMap();
  /** @param rootKey 32 bytes */
  constructor(rootKey) {
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
  nonceFor(userId, random) {
    if (random.length !== NONCE_RANDOM_BYTES) throw new RangeError('a session nonce needs 16 random bytes');
    return Buffer.concat([random, this.#ownerMac(userId, random)]);
  }
  /**
   * Whether the nonce was made for this user. Nonces of earlier releases have 16 bytes and no MAC; they pass for every
   * user.
   */
  isNonceOf(userId, nonce) {
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
  make(nonce, sessionId, generation) {
    const macInput = macInputOf(sessionId, generation);
    return PREFIX + Buffer.concat([macInput, this.#mac(nonce, macInput)]).toString('base64url');
  }
  /** Whether the MAC of the token is valid for the session with this nonce. Compares in constant time (S02). */
  isGenuine(nonce, token) {
    const macInput = macInputOf(token.sessionId, token.generation);
    return timingSafeEqual(this.#mac(nonce, macInput), token.mac);
  }
  #mac(nonce, macInput) {
    return createHmac('sha256', this.#macKey(nonce)).update(macInput).digest();
  }
  #ownerMac(userId, random) {
    const hmac = createHmac('sha256', this.#ownerKey).update(random).update(userId);
    return hmac.digest().subarray(0, OWNER_MAC_BYTES);
  }
  #macKey(nonce) {
    const cached = this.#keys.get(nonce);
    if (cached) return cached;
    const key = Buffer.from(hkdfSync('sha256', this.#rootKey, nonce, 'postern refresh token', 32));
    this.#keys.set(nonce, key);
    return key;
  }
};
function macInputOf(sessionId, generation) {
  const macInput = Buffer.alloc(MAC_INPUT_BYTES);
  macInput.set(bytesOfUuid(sessionId));
  macInput.writeUInt32BE(generation, SESSION_BYTES);
  return macInput;
}
function parseRefreshToken(text) {
  if (!PATTERN.test(text)) return null;
  const encoded = text.slice(PREFIX.length);
  const bytes = Buffer.from(encoded, 'base64url');
  if (bytes.length !== MAC_INPUT_BYTES + MAC_BYTES || bytes.toString('base64url') !== encoded) return null;
  const generation = bytes.readUInt32BE(SESSION_BYTES);
  if (generation > MAX_GENERATION) return null;
  const sessionId = uuidOfBytes(bytes.subarray(0, SESSION_BYTES));
  return { sessionId, generation, mac: bytes.subarray(MAC_INPUT_BYTES) };
}
function looksLikeRefreshToken(text) {
  return text.startsWith(PREFIX);
}
export { MAX_GENERATION, RefreshTokens, looksLikeRefreshToken, parseRefreshToken };
