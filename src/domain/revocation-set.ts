import type { VerifiedClaims } from './claims/claims.ts';
import { uuidOfBytes } from './uuid.ts';

/** What is revoked: a session, one token or a signing key. Never the text of a token: one token has several valid texts. */
export type RevocationKind = 'sid' | 'jti' | 'kid';

/** One revocation. It expires (Unix time) when the last token that it can cover has expired, clock skew included. */
export interface Revocation {
  readonly kind: RevocationKind;
  readonly id: string;
  readonly expiresAtSeconds: number;
}

const KINDS = ['sid', 'jti', 'kid'] as const;

/**
 * All unexpired revocations, in memory. With a million entries each takes under 110 bytes, because a UUID is stored as its
 * 16 bytes; any other id is stored as text. Ids are compared exactly: a UUID in upper case is a different id.
 */
export class RevocationSet {
  readonly #expiries = { sid: new CompactIds(), jti: new CompactIds(), kid: new CompactIds() };

  get size(): number {
    return KINDS.reduce((sum, kind) => sum + this.#expiries[kind].size, 0);
  }

  /** Adds a revocation, or extends its expiry if that is later. Returns whether anything changed. */
  add(kind: RevocationKind, id: string, expiresAtSeconds: number): boolean {
    return this.#expiries[kind].extend(id, Math.ceil(expiresAtSeconds));
  }

  /** Also true after the expiry, until `purge`; the tokens that it covers have expired by then. */
  has(kind: RevocationKind, id: string): boolean {
    return this.#expiries[kind].has(id);
  }

  /** Whether the session, the token or the key of these claims is revoked. */
  covers(claims: VerifiedClaims): boolean {
    const { sessionId, tokenId, keyId } = claims;
    return (
      (sessionId !== null && this.has('sid', sessionId)) ||
      (tokenId !== null && this.has('jti', tokenId)) ||
      (keyId !== null && this.has('kid', keyId))
    );
  }

  /** Whether the session, the token or the key of these claims is revoked at least until the given Unix time. */
  coversUntil(claims: VerifiedClaims, untilSeconds: number): boolean {
    const { sessionId, tokenId, keyId } = claims;
    const { sid, jti, kid } = this.#expiries;
    return (
      (sessionId !== null && sid.expiryOf(sessionId) >= untilSeconds) ||
      (tokenId !== null && jti.expiryOf(tokenId) >= untilSeconds) ||
      (keyId !== null && kid.expiryOf(keyId) >= untilSeconds)
    );
  }

  /**
   * Removes expired revocations and returns their number. Visits at most `maxVisited` entries of each kind and continues
   * from there at the next call, so that a large set does not block the event loop for long (2000 of a million entries
   * take one or two milliseconds).
   */
  purge(nowSeconds: number, maxVisited = 2000): number {
    return KINDS.reduce((sum, kind) => sum + this.#expiries[kind].purge(nowSeconds, maxVisited), 0);
  }

  /** All revocations, for a snapshot. Entries added or purged during the iteration may or may not be included. */
  *[Symbol.iterator](): Generator<Revocation, void, undefined> {
    for (const kind of KINDS) {
      for (const [id, expiresAtSeconds] of this.#expiries[kind]) yield { kind, id, expiresAtSeconds };
    }
  }
}

/** Ids with their expiry: UUIDs in one map, packed into 16 one-byte characters, all others in a second map. */
class CompactIds {
  readonly #uuids = new Map<string, number>();
  readonly #others = new Map<string, number>();
  #cursor: Iterator<[Map<string, number>, string, number]> | null = null;

  get size(): number {
    return this.#uuids.size + this.#others.size;
  }

  has(id: string): boolean {
    if (this.size === 0) return false;
    const packed = packUuid(id);
    return packed === null ? this.#others.has(id) : this.#uuids.has(packed);
  }

  /** Unix time; -Infinity for an unknown id. */
  expiryOf(id: string): number {
    const packed = packUuid(id);
    return (packed === null ? this.#others.get(id) : this.#uuids.get(packed)) ?? -Infinity;
  }

  extend(id: string, expiresAtSeconds: number): boolean {
    const packed = packUuid(id);
    const map = packed === null ? this.#others : this.#uuids;
    const key = packed ?? id;
    const known = map.get(key);
    if (known !== undefined && known >= expiresAtSeconds) return false;
    map.set(key, expiresAtSeconds);
    return true;
  }

  purge(nowSeconds: number, maxVisited: number): number {
    let purged = 0;
    for (let visited = 0; visited < maxVisited; visited++) {
      this.#cursor ??= this.#entries();
      const next = this.#cursor.next();
      if (next.done === true) {
        this.#cursor = null;
        break;
      }
      const [map, key, expiresAtSeconds] = next.value;
      if (expiresAtSeconds <= nowSeconds && map.delete(key)) purged++;
    }
    return purged;
  }

  *[Symbol.iterator](): Generator<[string, number], void, undefined> {
    for (const [packed, expiry] of this.#uuids) yield [unpackUuid(packed), expiry];
    yield* this.#others;
  }

  *#entries(): Generator<[Map<string, number>, string, number], void, undefined> {
    for (const map of [this.#uuids, this.#others]) for (const [key, expiry] of map) yield [map, key, expiry];
  }
}

/** Offsets of the 16 bytes in the 36 characters of a UUID. */
const BYTE_OFFSETS = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const scratch = new Array<number>(16).fill(0);

/** Packs a lower-case UUID into 16 one-byte characters; null for any other text. */
function packUuid(id: string): string | null {
  if (id.length !== 36 || id[8] !== '-' || id[13] !== '-' || id[18] !== '-' || id[23] !== '-') return null;
  for (let index = 0; index < 16; index++) {
    const offset = BYTE_OFFSETS[index] ?? 0;
    const high = hexValue(id.charCodeAt(offset));
    const low = hexValue(id.charCodeAt(offset + 1));
    if (high < 0 || low < 0) return null;
    scratch[index] = high * 16 + low;
  }
  return String.fromCharCode(...scratch);
}

function unpackUuid(packed: string): string {
  return uuidOfBytes(Buffer.from(packed, 'latin1'));
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return -1;
}
