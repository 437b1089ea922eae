import type { VerifiedClaims } from '../domain/claims/claims.ts';
import { type Revocation, type RevocationKind, RevocationSet } from '../domain/revocation-set.ts';
import { createKeyRing, type KeyRing } from '../tokens/verify/key-ring.ts';
import { isSameEpoch } from './revocation-position.ts';
import { UnsettledRevocations } from './unsettled-revocations.ts';
import { keyOf, type PositionedRevocation, RevocationJournal } from './revocation-journal.ts';

/** One page of revocations read by a source. */
export interface TrustUpdates {
  readonly revocations: readonly PositionedRevocation[];
  /** When the read is complete, every revocation before this position is known. */
  readonly cursor: bigint;
  /** False while the same read has more pages. */
  readonly complete: boolean;
  /** Monotonic time, ms, at which the read began: a revocation that it lacks happened later. */
  readonly readAtMs: number;
}

/** One complete batch of an upstream's stream, in a relay. */
export interface TrustBatch {
  readonly revocations: readonly Revocation[];
  /** With the batch, every revocation before this position is known. */
  readonly cursor: bigint;
  /** Whether the batch is the full list of the upstream. */
  readonly isSnapshot: boolean;
}

/** A change of the bundle, as its listeners receive it. */
export type TrustChange =
  | { readonly kind: 'keys' }
  | {
      readonly kind: 'revocations';
      readonly revocations: readonly Revocation[];
      /** Whether this process has just committed them (`revoke`), rather than read them from its source. */
      readonly isLocal: boolean;
    };

/** How many revocations one purge visits at most, so that it does not block the event loop. */
const PURGE_STEP = 2_000;

/**
 * The signing keys and revocations that this process currently trusts. A source feeds it; every verification reads it,
 * from memory only.
 */
export class TrustBundle {
  readonly #journal: RevocationJournal;
  readonly #revoked = new RevocationSet();
  readonly #nowMs: () => number;
  readonly #listeners = new Set<(change: TrustChange) => void>();
  #ring: KeyRing = createKeyRing([]);
  #hasKeys = false;
  #cursor: bigint | null = null;
  /** In a relay: the lowest cursor from which a subscriber can resume. What came before has no known order. */
  #resumableFrom = 0n;
  readonly #unsettled = new UnsettledRevocations();
  /** What was added ahead of the source, and has not been announced in its order yet. */
  readonly #unannounced = new Set<string>();
  /** True while a source whose positions went back is being read: until then older cursors would wrongly seem valid. */
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

  /** False until the first keys and the first full list of revocations are here; no token can be verified before. */
  get loaded(): boolean {
    return this.#hasKeys && this.#readAtMs > -Infinity;
  }

  /** Every revocation before it is known; null before the first full list, and with a source that has no cursors. */
  get cursor(): bigint | null {
    return this.#cursor;
  }

  /** The staleness: time since everything the source had was known here, ms; Infinity before the first time. */
  get ageMs(): number {
    return this.#nowMs() - this.#readAtMs;
  }

  /** Grows with every change of the keys and every revocation: a verdict holds while the revision is the same. */
  get revision(): number {
    return this.#revision;
  }

  get revocationCount(): number {
    return this.#revoked.size;
  }

  /** How many revocations `revoke` received, by kind. */
  get revokedLocally(): Readonly<Record<RevocationKind, number>> {
    return this.#revokedLocally;
  }

  keys(): KeyRing {
    return this.#ring;
  }

  isRevoked(claims: VerifiedClaims): boolean {
    return this.#revoked.covers(claims);
  }

  /** @param id the id of a token or of an API key, or the revocation id of its grant */
  isTokenIdRevoked(id: string): boolean {
    return this.#revoked.has('jti', id);
  }

  /** Whether the token is revoked already, by an entry that lasts until `untilSeconds` (Unix time). */
  isRevokedUntil(claims: VerifiedClaims, untilSeconds: number): boolean {
    return this.#revoked.coversUntil(claims, untilSeconds);
  }

  /** Every revocation in force; others may be added during the iteration. */
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

  /** For a change of the rules that claims are checked against: listeners are sent the keys again, with the new rules. */
  policyChanged(): void {
    this.#revision += 1;
    if (this.#hasKeys) this.#notify({ kind: 'keys' });
  }

  /**
   * Drops all keys, back to the state before the first ones. Tokens are then answered with TRUST_STALE instead of
   * TOKEN_KEY_UNKNOWN, and listeners are not sent an empty key set.
   */
  clearKeys(): void {
    this.#ring = createKeyRing([]);
    this.#hasKeys = false;
    this.#revision += 1;
  }

  /**
   * Adds revocations ahead of the source, for those that this process has just committed. Listeners are notified now and
   * again when the source reads the revocation at its position: until then no cursor covers it.
   */
  revoke(revocations: readonly Revocation[]): void {
    if (revocations.length === 0) return;
    for (const { kind } of revocations) this.#revokedLocally[kind] += 1;
    this.#add(revocations);
    if (this.#cursor !== null) for (const one of revocations) this.#unannounced.add(keyOf(one));
    this.#notify({ kind: 'revocations', revocations, isLocal: true });
  }

  /**
   * Applies what a source has read. Notifies listeners of what is new in the source's order, even if `revoke` added it
   * before.
   *
   * @returns the new revocations
   */
  applyUpdates(updates: TrustUpdates): readonly PositionedRevocation[] {
    const rewound =
      this.#cursor !== null && (updates.cursor < this.#cursor || !isSameEpoch(updates.cursor, this.#cursor));
    if (this.#cursor === null || rewound) this.#journal.restart(updates.cursor);
    this.#rewinding = rewound && !updates.complete;
    const added = new Set(this.#add(updates.revocations));
    const nextReadFrom = updates.complete || this.#cursor === null || rewound ? updates.cursor : this.#cursor;
    const journaled = this.#journal.add(updates.revocations, nextReadFrom);
    // After a restart from the beginning, listeners already know most of the list.
    const isFresh = (one: PositionedRevocation) => added.has(one) || this.#unannounced.has(keyOf(one));
    const fresh = rewound ? journaled.filter(isFresh) : journaled;
    for (const one of journaled) this.#unannounced.delete(keyOf(one));
    // The cursor moves before listeners are notified, and only with the last page: a listener that has received
    // everything so far then knows all revocations before it.
    if (updates.complete) this.#cursor = updates.cursor;
    if (fresh.length > 0) this.#notify({ kind: 'revocations', revocations: fresh, isLocal: false });
    if (updates.complete) this.confirm(updates.readAtMs);
    return fresh;
  }

  /** Adds revocations of a batch that is not complete: they take effect, and `applyBatch` announces them with their place. */
  revokeEarly(revocations: readonly Revocation[]): void {
    for (const added of this.#add(revocations)) this.#unannounced.add(keyOf(added));
  }

  /**
   * Applies a batch of an upstream's stream, and notifies listeners of what is new in its order.
   *
   * The revocations get the place of the batch's cursor c, although some were written at higher positions: they had been
   * committed while an older transaction was open. Cursors only grow, so whoever has a cursor above c has it from a read
   * after these were committed, and knows them. With a place below c, subscribers that hold c already would resume past them.
   * For large reads c itself is too low, so that subscribers get them whatever their cursor until `confirm` settles the place.
   */
  applyBatch({ revocations, cursor: received, isSnapshot }: TrustBatch): void {
    const known = this.#cursor;
    const isOneOrder = known !== null && isSameEpoch(received, known);
    // Another instance may be a little behind. What was known before this cursor still is.
    const cursor = isOneOrder && received < known ? known : received;
    const placed = revocations.map((revocation) => ({ ...revocation, position: cursor }));
    const added = new Set<PositionedRevocation>(this.#add(placed));
    let fresh: readonly PositionedRevocation[];
    if (isOneOrder && !isSnapshot) {
      fresh = this.#journal.add(placed, cursor);
      this.#unsettled.add(fresh, this.#nowMs());
    } else {
      // Most of a full list is known to the listeners. What is in the journal may have come with the place of an instance that
      // had announced it ahead of the database: only this copy has a place that counts.
      const isFresh = (one: PositionedRevocation) =>
        added.has(one) || this.#unannounced.has(keyOf(one)) || this.#journal.has(one);
      fresh = isSnapshot ? placed.filter(isFresh) : placed;
      this.#journal.restart(cursor);
      // Not the first list, of up to a million: no snapshot of this bundle is under way yet.
      if (known !== null) this.#journal.add(fresh, cursor);
      // The list may have revocations at the cursor and above that are not in the journal.
      this.#resumableFrom = cursor + 1n;
      this.#unsettled.addList(this.#nowMs());
    }
    // Not all: the next batch may have begun.
    for (const one of placed) this.#unannounced.delete(keyOf(one));
    this.#cursor = cursor;
    if (fresh.length > 0) this.#notify({ kind: 'revocations', revocations: fresh, isLocal: false });
  }

  /** Records that everything revoked before `readAtMs` (monotonic time, ms) is known here. */
  confirm(readAtMs: number): void {
    this.#readAtMs = Math.max(this.#readAtMs, readAtMs);
    this.#settlePlaces(readAtMs);
    this.#resolveWaiters();
  }

  #settlePlaces(readAtMs: number): void {
    if (this.#cursor === null) return;
    const position = this.#cursor;
    const { placed, isListPlaced } = this.#unsettled.settle(readAtMs);
    if (isListPlaced) this.#resumableFrom = position + 1n;
    this.#journal.add(
      placed.map((revocation) => ({ ...revocation, position })),
      position,
    );
  }

  /** Back to the state before the first full list: what is known may lack revocations, until `confirm`. */
  unconfirm(): void {
    this.#readAtMs = -Infinity;
    this.#revision += 1;
  }

  /**
   * The revocations that a subscriber lacks who knows everything before `cursor`, as far as the source has read. Null when
   * that is not known here: the cursor is too old, or ahead of this process and perhaps of another database.
   */
  missedSince(cursor: bigint): readonly Revocation[] | null {
    if (cursor < this.#resumableFrom || !this.#unsettled.canResume) return null;
    const added = this.addedSince(cursor);
    return added && [...this.#unsettled.all(), ...added];
  }

  /**
   * The revocations that a snapshot of this bundle lacks, which was begun when the bundle had this cursor. Null when that is
   * not known any more.
   */
  addedSince(cursor: bigint): readonly Revocation[] | null {
    if (this.#cursor === null || this.#rewinding || cursor > this.#cursor) return null;
    return this.#journal.since(cursor);
  }

  /** Removes some of the expired revocations. @param nowSeconds Unix time @returns how many were removed */
  purge(nowSeconds: number): number {
    return this.#revoked.purge(nowSeconds, PURGE_STEP);
  }

  /** Calls the listener on every change, until the returned function is called. */
  subscribe(listener: (change: TrustChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when the bundle is loaded and its staleness is at most `maxAgeMs`, or after `limitMs`; check `loaded` and
   * `ageMs` afterwards.
   */
  async whenLoaded(limitMs: number, maxAgeMs = Infinity): Promise<void> {
    const isEnough = () => this.loaded && this.ageMs <= maxAgeMs;
    if (isEnough()) return;
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#loadWaiters.delete(check);
        resolve();
      };
      const check = () => {
        if (isEnough()) finish();
      };
      const timer = setTimeout(finish, limitMs);
      this.#loadWaiters.add(check);
    });
  }

  /** @returns those that changed the set */
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
