import type { Revocation } from '../domain/revocation-set.ts';

/** A revocation with its place in the order in which instances learn of them; places only grow with time. */
export interface PlacedRevocation extends Revocation {
  readonly place: bigint;
}

/** Enough for a minute of thousands of logouts a second; a watcher that was away for longer begins anew. */
const DEFAULT_MAX_KEPT = 100_000;

/**
 * The newest revocations in order, so that a watcher that comes back is told only what it missed. Complete from its
 * start on: whoever knows everything before a cursor that is not below the start lacks nothing but what `since` gives.
 */
export class RevocationJournal {
  /** Ascending by place, so that a thousand watchers that come back at once cost a search each and not a walk. */
  #entries: PlacedRevocation[] = [];
  readonly #places = new Map<string, bigint>();
  #start: bigint | null = null;
  readonly #maxKept: number;

  constructor(maxKept = DEFAULT_MAX_KEPT) {
    this.#maxKept = maxKept;
  }

  /** Begins anew at a cursor: nothing before it is told any more. */
  begin(cursor: bigint): void {
    if (this.#start === cursor) return;
    this.#entries = [];
    this.#places.clear();
    this.#start = cursor;
  }

  /**
   * Keeps what belongs here and returns what of it was not here yet: a source may tell the newest ones repeatedly.
   *
   * @param cursor from where the source reads again: nothing at or above it is dropped, or it would seem new forever
   */
  add(revocations: readonly PlacedRevocation[], cursor: bigint): PlacedRevocation[] {
    const fresh: PlacedRevocation[] = [];
    const kept: PlacedRevocation[] = [];
    for (const revocation of revocations) {
      const key = keyOf(revocation);
      if (this.#places.get(key) === revocation.place) continue;
      fresh.push(revocation);
      if (this.#start === null || revocation.place < this.#start) continue;
      this.#places.set(key, revocation.place);
      kept.push(revocation);
    }
    this.#insert(kept);
    if (this.#entries.length > this.#maxKept) this.#shorten(cursor);
    return fresh;
  }

  /** What was added at `cursor` or after it, or null when some of that is not kept any more. */
  since(cursor: bigint): readonly Revocation[] | null {
    if (this.#start === null || cursor < this.#start) return null;
    return this.#entries.slice(this.#firstAt(cursor));
  }

  /** A transaction that committed late has a place among those that are here already. */
  #insert(revocations: readonly PlacedRevocation[]): void {
    const lowest = revocations.reduce<bigint | null>(
      (first, { place }) => (first === null || place < first ? place : first),
      null,
    );
    if (lowest === null) return;
    const tail = this.#entries.splice(this.#firstAt(lowest)).concat(revocations);
    tail.sort((one, other) => (one.place < other.place ? -1 : one.place > other.place ? 1 : 0));
    for (const revocation of tail) this.#entries.push(revocation);
  }

  /** Drops about the older half, in whole transactions: what shares a place is kept or dropped together. */
  #shorten(cursor: bigint): void {
    const middle = this.#entries[this.#entries.length - Math.ceil(this.#maxKept / 2)]?.place ?? cursor;
    const isOneHuge = this.#entries.length - this.#firstAt(middle) > this.#maxKept;
    const wanted = isOneHuge ? middle + 1n : middle;
    const start = wanted < cursor ? wanted : cursor;
    if (this.#start !== null && start <= this.#start) return;
    for (const dropped of this.#entries.splice(0, this.#firstAt(start))) {
      const key = keyOf(dropped);
      if (this.#places.get(key) === dropped.place) this.#places.delete(key);
    }
    this.#start = start;
  }

  /** The index of the first entry at `place` or above. */
  #firstAt(place: bigint): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.place ?? place) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function keyOf({ kind, id }: Revocation): string {
  return `${kind} ${id}`;
}
