import type { ClaimsPolicy, VerifiedClaims } from '../../domain/claims/claims.ts';

/** A token whose signature and claims were valid when it was first verified, under `policy`. */
export interface CachedToken {
  readonly verdict: { readonly ok: true; readonly claims: VerifiedClaims };
  readonly policy: ClaimsPolicy;
  /** When the legacy HS256 key stops being accepted, for a legacy token; otherwise Infinity. Unix time, ms. */
  readonly refusedFromMs: number;
  /**
   * The revision of keys and revocations under which the token was last accepted. Undefined before that, and where there
   * are no revisions.
   */
  trustedRevision: number | undefined;
}

interface Entry {
  readonly token: string;
  readonly cached: CachedToken;
  readonly bytes: number;
  newer: Entry | null;
  older: Entry | null;
}

/** Limit on the number of entries besides the one on bytes; far below the maximum size of a Map in V8. */
const MAX_ENTRIES = 1_000_000;

/**
 * LRU cache of verified tokens, bounded in bytes.
 *
 * - An entry matches the whole token. A key made of a part (payload, jti) would accept a forged signature beside a
 *   payload that was verified before (T24).
 * - The map is keyed by the last characters, and the token is then compared character by character: each call brings a
 *   new string, and hashing all of it would cost more than the rest of the look-up.
 * - Only valid tokens are added, so malformed tokens cannot evict them.
 * - A hit is not a verdict: the caller must check expiry, key and revocation again.
 */
export class VerifiedTokenCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  #newest: Entry | null = null;
  #oldest: Entry | null = null;
  #bytes = 0;
  #hits = 0;
  #misses = 0;

  /** @param maxBytes 0 disables the cache */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Memory of all entries, as `bytesOf` estimates it. */
  get bytes(): number {
    return this.#bytes;
  }

  get hits(): number {
    return this.#hits;
  }

  get misses(): number {
    return this.#misses;
  }

  get(token: string): CachedToken | undefined {
    const entry = this.#entries.get(tailOf(token));
    if (entry?.token !== token) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    if (entry !== this.#newest) {
      this.#unlink(entry);
      this.#link(entry);
    }
    return entry.cached;
  }

  set(token: string, cached: CachedToken): void {
    const bytes = bytesOf(token, cached.verdict.claims);
    const tail = tailOf(token);
    const colliding = this.#entries.get(tail);
    if (colliding !== undefined) this.delete(colliding.token);
    if (bytes > this.#maxBytes) return;
    while (this.#oldest !== null && (this.#bytes + bytes > this.#maxBytes || this.size >= MAX_ENTRIES)) {
      this.delete(this.#oldest.token);
    }
    const entry: Entry = { token, cached, bytes, newer: null, older: null };
    this.#entries.set(tail, entry);
    this.#link(entry);
    this.#bytes += bytes;
  }

  delete(token: string): void {
    const tail = tailOf(token);
    const entry = this.#entries.get(tail);
    if (entry?.token !== token) return;
    this.#entries.delete(tail);
    this.#unlink(entry);
    this.#bytes -= entry.bytes;
  }

  #link(entry: Entry): void {
    entry.older = this.#newest;
    if (this.#newest !== null) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
  }

  #unlink(entry: Entry): void {
    if (entry.newer === null) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === null) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    entry.newer = null;
    entry.older = null;
  }
}

/**
 * At least 68 bits of a signature: two valid tokens with the same tail do not occur in practice, and would only evict
 * each other. V8 copies slices of up to 12 characters and makes longer ones refer to the whole text; with a copy, the
 * look-up takes half the time.
 */
const TAIL_CHARACTERS = 12;

function tailOf(token: string): string {
  return token.slice(-TAIL_CHARACTERS);
}

/** The entry, its slot in the map, the claims object and its arrays; measured with `test/soak/token-memory.mjs`. */
const BYTES_PER_ENTRY = 400;
const BYTES_PER_LIST_ITEM = 48;

/**
 * Estimates the memory of an entry. The claims are slices of the decoded text and keep it in memory. That text has three
 * quarters of the token's length, so two bytes per character of the token cover both. Claims outside Latin-1 take up to
 * a quarter more.
 */
function bytesOf(token: string, { audience, roles }: VerifiedClaims): number {
  return BYTES_PER_ENTRY + 2 * token.length + BYTES_PER_LIST_ITEM * (audience.length + roles.length);
}
