import { createHash } from 'node:crypto';

import { isScannableSecret } from '../../crypto/api-secret.ts';
import { type ApiKeyDigests } from '../../crypto/api-key-digests.ts';
import { sameDigest } from '../../crypto/keyed-digests.ts';
import type { VerifiedClaims } from '../../domain/claims/claims.ts';
import { networkMatcher, parseNetwork } from '../../net/cidr.ts';
import { rolesForKey } from './api-key.ts';
import type { FedApiKey } from './api-key-feed-queries.ts';

/** A key in memory. A change replaces the object. */
export interface KnownApiKey {
  /** The claims of a token with the rights of the key: the roles are those that the owner has as well. */
  readonly claims: VerifiedClaims;
  /** The key's id. */
  readonly id: string;
  readonly networks: readonly string[];
  /** Null for a key without networks. */
  readonly allows: ((address: string) => boolean) | null;
  readonly revocationId: string;
  /** False while the owner is disabled, or may not use the audience. */
  readonly ownerAllows: boolean;
}

interface Entry extends KnownApiKey {
  /** The stored digest, one character a byte. */
  readonly digest: string;
}

/** How a key is found: it may have ended, which only the log tells apart from an unknown one. */
export type FoundApiKey = KnownApiKey | 'malformed' | 'unknown' | 'revoked';

/** How many keys that ended are remembered, to name the cause in the log. */
const MAX_ENDED = 10_000;
/** How many keys are found by their text, which saves two digests a call. */
const MAX_RECENT = 4_096;
/** Expired keys that one purge visits at most, so that it does not block the event loop. */
const PURGE_STEP = 2_000;
const EXPIRED_KEPT_SECONDS = 86_400;

/**
 * All valid API keys, in memory, by their stored digests: no call asks the database. `ApiKeyFeed` feeds it; a revocation by
 * this process, or one that arrives first, ends a key at once.
 */
export class ApiKeyDirectory {
  readonly #digests: ApiKeyDigests;
  readonly #issuer: string;
  readonly #secondFactorRoles: readonly string[];
  readonly #byDigest = new Map<string, Entry>();
  readonly #byId = new Map<string, Entry>();
  readonly #recent = new Map<string, Entry>();
  readonly #ended = new Set<string>();
  /** The ids of keys that ended while a read was under way, whose result may still have them as valid. */
  readonly #endedDuringRead = new Set<string>();
  /** Equal lists are one object, since most keys have the same few. */
  readonly #lists = new Map<string, readonly string[]>();
  #purgeCursor: Iterator<Entry> | null = null;

  /**
   * @param issuer the claim `iss`
   * @param secondFactorRoles roles that no key of a user has: a key is used without a second factor
   */
  constructor(digests: ApiKeyDigests, issuer: string, secondFactorRoles: readonly string[] = []) {
    this.#digests = digests;
    this.#issuer = issuer;
    this.#secondFactorRoles = secondFactorRoles;
  }

  /** How many keys are known, with expired ones that are not purged yet. */
  get size(): number {
    return this.#byId.size;
  }

  find(text: string): FoundApiKey {
    const recent = this.#recent.get(text);
    if (recent !== undefined && this.#byId.get(recent.id) === recent) return recent;
    if (!isScannableSecret('pak_', text)) return 'malformed';
    const found = this.findByHash(createHash('sha256').update(text).digest());
    if (typeof found === 'object') {
      if (this.#recent.size >= MAX_RECENT) this.#recent.clear();
      this.#recent.set(text, found as Entry);
    }
    return found;
  }

  /** @param sha256 the SHA-256 digest of the key */
  findByHash(sha256: Uint8Array): KnownApiKey | 'unknown' | 'revoked' {
    // A look-up by a keyed digest: its time reveals nothing about the keys.
    const digest = this.#digests.ofHash(sha256).toString('latin1');
    return this.#byDigest.get(digest) ?? (this.#ended.has(digest) ? 'revoked' : 'unknown');
  }

  /** Called before each read of the feed. */
  beginRead(): void {
    this.#endedDuringRead.clear();
  }

  /** Forgets the keys that a read of the whole table has not found. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const entry of this.#byId.values()) if (!ids.has(entry.id)) this.#remove(entry);
  }

  /** Adds or replaces a key that the feed has read. A row whose MAC is wrong is no key. */
  apply(key: FedApiKey): void {
    const previous = this.#byId.get(key.id);
    if (!sameDigest(key.mac, this.#digests.macOf(key))) {
      if (previous) this.#remove(previous);
      return;
    }
    if (key.revoked) {
      if (previous) this.end(key.id);
      return;
    }
    if (this.#endedDuringRead.has(key.id) || previous?.revocationId === key.revocationId) return;
    if (previous) this.#remove(previous);
    const entry = this.#entryOf(key);
    this.#byDigest.set(entry.digest, entry);
    this.#byId.set(entry.id, entry);
  }

  /** Ends a key at once. @param id of a key, or of anything else that was revoked */
  end(id: string): void {
    this.#endedDuringRead.add(id);
    const entry = this.#byId.get(id);
    if (!entry) return;
    this.#remove(entry);
    if (this.#ended.size >= MAX_ENDED) this.#ended.clear();
    this.#ended.add(entry.digest);
  }

  /** Forgets some of the keys that expired long ago. @param nowSeconds Unix time */
  purge(nowSeconds: number): void {
    for (let visited = 0; visited < PURGE_STEP; visited += 1) {
      this.#purgeCursor ??= this.#byId.values();
      const next = this.#purgeCursor.next();
      if (next.done === true) {
        this.#purgeCursor = null;
        return;
      }
      if (next.value.claims.expiresAtSeconds < nowSeconds - EXPIRED_KEPT_SECONDS) this.#remove(next.value);
    }
  }

  #remove(entry: Entry): void {
    this.#byId.delete(entry.id);
    this.#byDigest.delete(entry.digest);
  }

  #entryOf(key: FedApiKey): Entry {
    const { id, ownerType, ownerId, createdAt, expiresAt, networks } = key;
    const parsed = networks.flatMap((text) => parseNetwork(text) ?? []);
    const claims: VerifiedClaims = Object.freeze({
      subject: ownerId,
      subjectType: ownerType,
      sessionId: null,
      tokenId: id,
      clientId: ownerType === 'service' ? ownerId : null,
      externalId: key.externalId,
      subjectName: key.subjectName,
      actor: null,
      acr: null,
      amr: [],
      authenticatedAtSeconds: null,
      credentialKind: 'api-key',
      issuer: this.#issuer,
      audience: this.#shared([key.audience]),
      // The policy may be newer than the key.
      roles: this.#shared(
        rolesForKey(ownerType, key.roles, this.#secondFactorRoles).filter((role) =>
          key.ownerRoles.includes(role),
        ),
      ),
      issuedAtSeconds: Math.floor(createdAt.getTime() / 1000),
      expiresAtSeconds: expiresAt === null ? Infinity : Math.floor(expiresAt.getTime() / 1000),
      keyId: null,
    });
    return {
      claims,
      id,
      networks: this.#shared(networks),
      allows: networks.length === 0 ? null : networkMatcher(parsed),
      revocationId: key.revocationId,
      ownerAllows: key.ownerAllows,
      digest: Buffer.from(key.digest).toString('latin1'),
    };
  }

  #shared(list: readonly string[]): readonly string[] {
    const key = list.join('\n');
    const known = this.#lists.get(key);
    if (known) return known;
    if (this.#lists.size >= MAX_ENDED) this.#lists.clear();
    const shared = Object.freeze([...list]);
    this.#lists.set(key, shared);
    return shared;
  }
}
