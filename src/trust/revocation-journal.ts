import type { Revocation } from '../domain/revocation-set.ts';

/** A revocation with its place in the order in which instances learn of them; places only grow with time. */
export interface PositionedRevocation extends Revocation {
  readonly position: bigint;
}

/** Enough for a minute of thousands of logouts a second; a watcher that was away for longer begins anew. */
const DEFAULT_MAX_KEPT = 100_000;

/**
 * The newest revocations in order, so that a watcher that comes back is told only what it missed. Complete from its
 * start on: whoever knows everything before a cursor that is not below the start lacks nothing but what `since` gives.
 */
export class RevocationJournal {
  /** Ascending by place, so that a thousand watchers that come back at once cost a search each and not a walk. */
  #entries: PositionedRevocation[] = [];
  readonly #positions = new Map<string, bigint>();
  #start: bigint | null = null;
  readonly #maxKept: number;

  constructor(maxKept = DEFAULT_MAX_KEPT) {
    this.#maxKept = maxKept;
  }

  /** Begins anew at a cursor: nothing before it is told any more. */
  restart(cursor: bigint): void {
    if (this.#start === cursor) return;
    this.#entries = [];
    this.#positions.clear();
    this.#start = cursor;
  }

  /**
   * Keeps what belongs here and returns what of it was not here yet: a source may tell the newest ones repeatedly.
   *
   * @param cursor from where the source reads again: nothing at or above it is dropped, or it would seem new forever
   */
  add(revocations: readonly PositionedRevocation[], cursor: bigint): PositionedRevocation[] {
    const fresh: PositionedRevocation[] = [];
    const kept: PositionedRevocation[] = [];
    for (const revocation of revocations) {
      const key = keyOf(revocation);
      if (this.#positions.get(key) === revocation.position) continue;
      fresh.push(revocation);
      if (this.#start === null || revocation.position < this.#start) continue;
      this.#positions.set(key, revocation.position);
      kept.push(revocation);
    }
    this.#insert(kept);
    if (this.#entries.length > this.#maxKept) this.#trim(cursor);
    return fresh;
  }

  /** What was added at `cursor` or after it, or null when some of that is not kept any more. */
  since(cursor: bigint): readonly Revocation[] | null {
    if (this.#start === null || cursor < this.#start) return null;
    return this.#entries.slice(this.#indexFrom(cursor));
  }

  /** A transaction that committed late has a place among those that are here already. */
  #insert(revocations: readonly PositionedRevocation[]): void {
    const lowest = revocations.reduce<bigint | null>(
      (first, { position }) => (first === null || position < first ? position : first),
      null,
    );
    if (lowest === null) return;
    const tail = this.#entries.splice(this.#indexFrom(lowest)).concat(revocations);
    tail.sort((one, other) => (one.position < other.position ? -1 : one.position > other.position ? 1 : 0));
    for (const revocation of tail) this.#entries.push(revocation);
  }

  /** Drops about the older half, in whole transactions: what shares a place is kept or dropped together. */
  #trim(cursor: bigint): void {
    const middle = this.#entries[this.#entries.length - Math.ceil(this.#maxKept / 2)]?.position ?? cursor;
    const isSingleTransaction = this.#entries.length - this.#indexFrom(middle) > this.#maxKept;
    const target = isSingleTransaction ? middle + 1n : middle;
    const start = target < cursor ? target : cursor;
    if (this.#start !== null && start <= this.#start) return;
    for (const dropped of this.#entries.splice(0, this.#indexFrom(start))) {
      const key = keyOf(dropped);
      if (this.#positions.get(key) === dropped.position) this.#positions.delete(key);
    }
    this.#start = start;
  }

  /** The index of the first entry at `place` or above. */
  #indexFrom(position: bigint): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.position ?? position) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function keyOf({ kind, id }: Revocation): string {
  return `${kind} ${id}`;
}
