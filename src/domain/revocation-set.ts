import type { VerifiedClaims } from './claims.ts';
import { uuidOfBytes } from './uuid.ts';

/** What a revocation names: a session, one token, or a signing key. Never a token's text: a signature has twins. */
export type RevocationKind = 'sid' | 'jti' | 'kid';

/** One revocation. `expiresAtSeconds` is when the last token that it could concern has expired, skew included. */
export interface Revocation {
  readonly kind: RevocationKind;
  readonly id: string;
  readonly expiresAtSeconds: number;
}

const KINDS = ['sid', 'jti', 'kid'] as const;

/**
 * Every revocation that still matters, in memory. A million of them take under 110 bytes each, because an id that is a
 * UUID is held as its 16 bytes; any other id is held as it is. Ids are compared exactly: a UUID in capitals is another id.
 */
export class RevocationSet {
  readonly #expiries = { sid: new CompactIds(), jti: new CompactIds(), kid: new CompactIds() };

  get size(): number {
    return KINDS.reduce((sum, kind) => sum + this.#expiries[kind].size, 0);
  }

  /** Adds a revocation and returns whether that changed anything. Said twice, the later expiry counts. */
  add(kind: RevocationKind, id: string, expiresAtSeconds: number): boolean {
    return this.#expiries[kind].extend(id, Math.ceil(expiresAtSeconds));
  }

  /** True also after the expiry, until `purge`: a token that it concerns is refused for its age by then anyway. */
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

  /** Whether one of them is revoked and stays so until a moment (Unix time). */
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
   * Forgets what has expired and returns how many that were. Looks at no more than `maxLookedAt` entries of each kind
   * and goes on from there at the next call, so that a large set never stops the event loop for long (2000 of a million
   * take one or two milliseconds).
   */
  purge(nowSeconds: number, maxLookedAt = 2000): number {
    return KINDS.reduce((sum, kind) => sum + this.#expiries[kind].purge(nowSeconds, maxLookedAt), 0);
  }

  /** Every revocation, for a snapshot. Entries that are added or purged meanwhile may or may not be seen. */
  *[Symbol.iterator](): Generator<Revocation, void, undefined> {
    for (const kind of KINDS) {
      for (const [id, expiresAtSeconds] of this.#expiries[kind]) yield { kind, id, expiresAtSeconds };
    }
  }
}

/** Ids with an expiry each: UUIDs in one map under 16 one-byte characters, the rest in another under their own text. */
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

  /** Unix time; -Infinity for an id that is not here. */
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

  purge(nowSeconds: number, maxLookedAt: number): number {
    let purged = 0;
    for (let visited = 0; visited < maxLookedAt; visited++) {
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

/** Where the 16 bytes of a UUID stand in its 36 characters. */
const BYTE_OFFSETS = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const scratch = new Array<number>(16).fill(0);

/** A UUID in lower case as 16 characters of one byte each; null for any other text. */
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
