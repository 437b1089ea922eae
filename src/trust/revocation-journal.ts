import type { Revocation } from '../domain/revocation-set.ts';

/** A revocation with its position in the order in which instances read them. Positions only grow. */
export interface PositionedRevocation extends Revocation {
  readonly position: bigint;
}

/** Enough for a minute of thousands of logouts per second; a subscriber that was away for longer gets a full snapshot. */
const DEFAULT_MAX_KEPT = 100_000;

/**
 * The newest revocations in order, so that a returning subscriber receives only those that it missed. The journal is
 * complete from its start: for any cursor at or above the start, `since` returns everything that the subscriber lacks.
 */
export class RevocationJournal {
  /** Ascending by position: a thousand subscribers that return at once cost a binary search each, not a scan. */
  #entries: PositionedRevocation[] = [];
  readonly #positions = new Map<string, bigint>();
  #start: bigint | null = null;
  readonly #maxKept: number;

  constructor(maxKept = DEFAULT_MAX_KEPT) {
    this.#maxKept = maxKept;
  }

  /** Empties the journal and starts it at a cursor; earlier revocations are no longer available. */
  restart(cursor: bigint): void {
    if (this.#start === cursor) return;
    this.#entries = [];
    this.#positions.clear();
    this.#start = cursor;
  }

  /**
   * Adds revocations and returns those that were not in the journal yet: a source may read the newest ones repeatedly.
   *
   * @param cursor where the next read starts: an entry at or above it is kept, or each read would report it as new
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

  has(revocation: Revocation): boolean {
    return this.#positions.has(keyOf(revocation));
  }

  /** The revocations at or after `cursor`; null when some of them are no longer kept. */
  since(cursor: bigint): readonly Revocation[] | null {
    if (this.#start === null || cursor < this.#start) return null;
    return this.#entries.slice(this.#indexFrom(cursor));
  }

  /** A transaction that committed late has a position between existing entries. */
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

  /** Drops about the older half, in whole transactions: entries of one position are kept or dropped together. */
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

  /** The index of the first entry at or above `position`. */
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

/** Equal for entries that refuse the same tokens. */
export function keyOf({ kind, id }: Revocation): string {
  return `${kind} ${id}`;
}
