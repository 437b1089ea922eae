import type { VerifiedClaims } from '../domain/claims.ts';
import { type Revocation, type RevocationKind, RevocationSet } from '../domain/revocation-set.ts';
import { createKeyRing, type KeyRing } from '../tokens/verify/key-ring.ts';
import { isSameEpoch } from './revocation-position.ts';
import { type PositionedRevocation, RevocationJournal } from './revocation-journal.ts';

/** What a source read about revocations at one moment. */
export interface TrustUpdates {
  readonly revocations: readonly PositionedRevocation[];
  /** Everything before this place is known when the read is complete. */
  readonly cursor: bigint;
  /** False while more pages of the same read are to come. */
  readonly complete: boolean;
  /** Monotonic time, ms, at which the read began: what it does not show happened later. */
  readonly readAtMs: number;
}

/** What changed, for those who pass it on. */
export type TrustChange =
  { readonly kind: 'keys' } | { readonly kind: 'revocations'; readonly revocations: readonly Revocation[] };

/** How many revocations a purge looks at in one go, so that the event loop is never held for long. */
const PURGE_STEP = 2_000;

/**
 * What this process currently trusts: signing keys and revocations, fed by a source and asked on every verification.
 * Everything is answered from memory.
 */
export class TrustBundle {
  readonly #journal: RevocationJournal;
  readonly #revoked = new RevocationSet();
  readonly #nowMs: () => number;
  readonly #listeners = new Set<(change: TrustChange) => void>();
  #ring: KeyRing = createKeyRing([]);
  #hasKeys = false;
  #cursor: bigint | null = null;
  /** True while a source whose places went back is read: until that ends, cursors of before still look good. */
  #rewinding = false;
  #readAtMs = -Infinity;
  #revision = 0;
  readonly #loadWaiters = new Set<() => void>();
  readonly #revokedLocally = { sid: 0, jti: 0, kid: 0 };

  /** @param nowMs monotonic time, ms */
  constructor(nowMs: () => number = () => performance.now(), journal = new RevocationJournal()) {
    this.#nowMs = nowMs;
    this.#journal = journal;
  }

  /** False until the first keys and the first full list of revocations have come: nothing can be judged before. */
  get loaded(): boolean {
    return this.#hasKeys && this.#readAtMs > -Infinity;
  }

  /** Everything before it is known here; null until the first full list has come, and without a source that has cursors. */
  get cursor(): bigint | null {
    return this.#cursor;
  }

  /** How long ago the source last told all there was to tell, ms; Infinity before the first time. */
  get ageMs(): number {
    return this.#nowMs() - this.#readAtMs;
  }

  /** Grows with every change of the keys and with every revocation: what was trusted at a revision is trusted while it lasts. */
  get revision(): number {
    return this.#revision;
  }

  get revocationCount(): number {
    return this.#revoked.size;
  }

  /** How many were told to `revoke`, by kind. */
  get revokedLocally(): Readonly<Record<RevocationKind, number>> {
    return this.#revokedLocally;
  }

  keys(): KeyRing {
    return this.#ring;
  }

  isRevoked(claims: VerifiedClaims): boolean {
    return this.#revoked.covers(claims);
  }

  /** Whether it is revoked already and nothing has to be added for a moment (Unix time). */
  isRevokedUntil(claims: VerifiedClaims, untilSeconds: number): boolean {
    return this.#revoked.coversUntil(claims, untilSeconds);
  }

  /** Every revocation in force; may be walked while others are added. */
  revocations(): Iterable<Revocation> {
    return this.#revoked;
  }

  replaceKeys(ring: KeyRing): void {
    this.#ring = ring;
    this.#hasKeys = true;
    this.#revision += 1;
    this.#notify({ kind: 'keys' });
    this.#resolveWaiters();
  }

  /**
   * Knows no key any more, as before the first ones: tokens are then not judged, instead of being refused, and nobody is
   * told of an empty set.
   */
  clearKeys(): void {
    this.#ring = createKeyRing([]);
    this.#hasKeys = false;
    this.#revision += 1;
  }

  /**
   * Refuses from now on, ahead of the source: for what this process itself has just committed. Passed on at once and
   * once more when the source tells it, in its place: until then no cursor covers it.
   */
  revoke(revocations: readonly Revocation[]): void {
    if (revocations.length === 0) return;
    for (const { kind } of revocations) this.#revokedLocally[kind] += 1;
    this.#add(revocations);
    this.#notify({ kind: 'revocations', revocations });
  }

  /**
   * Takes what a source has read. Passes on what is new in the source's order, also when `revoke` was faster.
   *
   * @returns what was new
   */
  applyUpdates(updates: TrustUpdates): readonly PositionedRevocation[] {
    const rewound =
      this.#cursor !== null && (updates.cursor < this.#cursor || !isSameEpoch(updates.cursor, this.#cursor));
    if (this.#cursor === null || rewound) this.#journal.restart(updates.cursor);
    this.#rewinding = rewound && !updates.complete;
    const added = new Set(this.#add(updates.revocations));
    const nextReadFrom = updates.complete || this.#cursor === null || rewound ? updates.cursor : this.#cursor;
    const journaled = this.#journal.add(updates.revocations, nextReadFrom);
    // A list that is read from its beginning again has little that is news to those who listen.
    const fresh = rewound ? journaled.filter((revocation) => added.has(revocation)) : journaled;
    // Moved before anybody is told and only by the last page: whoever was told everything so far knows all before it.
    if (updates.complete) this.#cursor = updates.cursor;
    if (fresh.length > 0) this.#notify({ kind: 'revocations', revocations: fresh });
    if (updates.complete) this.confirm(updates.readAtMs);
    return fresh;
  }

  /** Takes note that everything that was revoked before a moment is known here. @param readAtMs monotonic time, ms */
  confirm(readAtMs: number): void {
    this.#readAtMs = Math.max(this.#readAtMs, readAtMs);
    this.#resolveWaiters();
  }

  /**
   * What a watcher lacks that knows everything before `cursor`, as far as the source has told it; null when that is
   * not known here: the cursor is too old, or ahead of this process, so that it may be another database's.
   */
  missedSince(cursor: bigint): readonly Revocation[] | null {
    if (this.#cursor === null || this.#rewinding || cursor > this.#cursor) return null;
    return this.#journal.since(cursor);
  }

  /** Forgets a part of what has expired. @param nowSeconds Unix time */
  purge(nowSeconds: number): number {
    return this.#revoked.purge(nowSeconds, PURGE_STEP);
  }

  /** Calls back on every change until the returned function is called. */
  subscribe(listener: (change: TrustChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when the first keys and revocations have come, or after `limitMs`; `loaded` then tells which. */
  async whenLoaded(limitMs: number): Promise<void> {
    if (this.loaded) return;
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#loadWaiters.delete(finish);
        resolve();
      };
      const timer = setTimeout(finish, limitMs);
      this.#loadWaiters.add(finish);
    });
  }

  /** @returns those that changed anything */
  #add<R extends Revocation>(revocations: readonly R[]): R[] {
    const added = revocations.filter(({ kind, id, expiresAtSeconds }) =>
      this.#revoked.add(kind, id, expiresAtSeconds),
    );
    if (added.length > 0) this.#revision += 1;
    return added;
  }

  #notify(change: TrustChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #resolveWaiters(): void {
    if (!this.loaded) return;
    for (const finish of [...this.#loadWaiters]) finish();
  }
}
