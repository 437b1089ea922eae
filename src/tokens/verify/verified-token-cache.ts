import type { ClaimsPolicy, VerifiedClaims } from '../../domain/claims.ts';

/** A token whose signature and claims were good at its first sight, under the policy of that moment. */
export interface CachedToken {
  readonly verdict: { readonly ok: true; readonly claims: VerifiedClaims };
  readonly policy: ClaimsPolicy;
  /** When the legacy door closes, for a token that came through it; otherwise Infinity. Unix time, ms. */
  readonly refusedFromMs: number;
  /** At which revision of keys and revocations it was last found good; undefined before, and where there are no revisions. */
  trustedAt: number | undefined;
}

interface Entry {
  readonly token: string;
  readonly cached: CachedToken;
  readonly bytes: number;
  newer: Entry | null;
  older: Entry | null;
}

/** Far below where a Map of V8 ends, whatever the bytes allow. */
const MAX_ENTRIES = 1_000_000;

/**
 * Tokens that were verified, by their whole text: a part of it (its payload, its jti) would let a forged signature ride
 * on a real one (T24). They are looked up by their last characters, since a token that has just been read is a new text
 * whose hash costs more than all the rest, and then compared character by character. Bounded in bytes; the token that was
 * not asked for the longest time goes first. Only good tokens come in, so junk cannot push them out. What it returns is a
 * memory and not a verdict: whoever asks must look at expiry, key and revocation again.
 */
export class VerifiedTokenCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  #newest: Entry | null = null;
  #oldest: Entry | null = null;
  #bytes = 0;
  #hits = 0;
  #misses = 0;

  /** @param MAX_BYTES 0 remembers nothing */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What the entries take, by `bytesOf`. */
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
 * 68 bits of a signature or more: two good tokens that end alike do not happen, and would only displace each other. V8 copies a
 * slice of up to 12 characters where it lets a longer one point into its text, and the look-up takes half the time.
 */
const TAIL_CHARACTERS = 12;

function tailOf(token: string): string {
  return token.slice(-TAIL_CHARACTERS);
}

/** The entry, its place in the map, the claims object and its arrays; measured by `test/soak/token-memory.mjs`. */
const BYTES_PER_ENTRY = 400;
const BYTES_PER_LIST_ITEM = 48;

/**
 * What an entry takes. The claims are slices of the decoded text, which stays with them: three quarters of the token,
 * so that two bytes a character of the token cover both. (Where claims go beyond Latin-1 it is up to a quarter more.)
 */
function bytesOf(token: string, { audience, roles }: VerifiedClaims): number {
  return BYTES_PER_ENTRY + 2 * token.length + BYTES_PER_LIST_ITEM * (audience.length + roles.length);
}
