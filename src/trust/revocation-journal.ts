import type { Revocation } from '../domain/revocation-set.ts';

/** A revocation with its place in the order in which instances learn of them; places only grow with time. */
export interface PlacedRevocation extends Revocation {
  readonly place: bigint;
}

/** Enough for a minute of thousands of logouts a second; a watcher that was away for longer begins anew. */
const MOST_KEPT = 100_000;

/**
 * The newest revocations in order, so that a watcher that comes back is told only what it missed. Complete from its
 * start on: whoever knows everything before a cursor that is not below the start lacks nothing but what `since` gives.
 */
export class RevocationJournal {
  #entries = new Map<string, PlacedRevocation>();
  #start: bigint | null = null;
  readonly #mostKept: number;

  constructor(mostKept = MOST_KEPT) {
    this.#mostKept = mostKept;
  }

  /** Begins anew at a cursor: nothing before it is told any more. */
  begin(cursor: bigint): void {
    if (this.#start === cursor) return;
    this.#entries = new Map();
    this.#start = cursor;
  }

  /** Keeps what belongs here and returns what of it was not here yet: a source may tell the newest ones repeatedly. */
  add(revocations: readonly PlacedRevocation[]): PlacedRevocation[] {
    const fresh: PlacedRevocation[] = [];
    for (const revocation of revocations) {
      const key = `${revocation.kind} ${revocation.id}`;
      if (this.#entries.get(key)?.place === revocation.place) continue;
      fresh.push(revocation);
      if (this.#start === null || revocation.place < this.#start) continue;
      // Deleted first, so that it stands last in the map's order.
      this.#entries.delete(key);
      this.#entries.set(key, revocation);
    }
    if (this.#entries.size > this.#mostKept) this.#shorten();
    return fresh;
  }

  /** What was added at `cursor` or after it, or null when some of that is not kept any more. */
  since(cursor: bigint): readonly Revocation[] | null {
    if (this.#start === null || cursor < this.#start) return null;
    return [...this.#entries.values()].filter(({ place }) => place >= cursor);
  }

  #shorten(): void {
    const all = [...this.#entries];
    const dropped = all.slice(0, all.length - Math.ceil(this.#mostKept / 2));
    // Places come nearly in order: what is kept is complete only above the highest one that is dropped.
    const highest = dropped.reduce((most, [, { place }]) => (place > most ? place : most), 0n);
    this.#start = highest + 1n;
    this.#entries = new Map(all.filter(([, { place }]) => place > highest));
  }
}
