import type { Revocation } from '../domain/revocation-set.ts';

/** Streams of one upstream may differ in their delay by so much, ms. */
const DELAY_TOLERANCE_MS = 2_000;
/** Of more, a subscriber that returns gets a full list: at a thousand logouts a second there are a few thousand. */
const DEFAULT_MAX_KEPT = 100_000;

/**
 * In a relay: the revocations whose place among the cursors is not certain yet, so that every subscriber that resumes gets
 * them, whatever its cursor.
 *
 * The cursor with which a batch came is a place that is too low if the instance was reading many pages: it sends a page on
 * before its cursor moves, and that cursor dates from the first page. Another instance may have had a higher one before the
 * revocation was committed. No such cursor is above one from a read that began after the revocation had come here.
 */
export class UnsettledRevocations {
  #batches: { readonly revocations: readonly Revocation[]; readonly receivedMs: number }[] = [];
  #count = 0;
  /** When the latest full list came, monotonic time, ms: nothing in it has a place until a later read. */
  #listReceivedMs: number | null = null;
  readonly #maxKept: number;

  constructor(maxKept = DEFAULT_MAX_KEPT) {
    this.#maxKept = maxKept;
  }

  /** False while no cursor says what its subscriber knows of the latest full list. */
  get canResume(): boolean {
    return this.#listReceivedMs === null;
  }

  add(revocations: readonly Revocation[], receivedMs: number): void {
    if (revocations.length === 0) return;
    this.#batches.push({ revocations, receivedMs });
    this.#count += revocations.length;
    if (this.#count > this.#maxKept) this.addList(receivedMs);
  }

  /** A full list has come, which has no order in itself. */
  addList(receivedMs: number): void {
    this.#batches = [];
    this.#count = 0;
    this.#listReceivedMs = receivedMs;
  }

  all(): Revocation[] {
    return this.#batches.flatMap(({ revocations }) => revocations);
  }

  /**
   * Everything from before `readAtMs` is known, and the cursor is from then or later.
   *
   * @returns the revocations whose place is now that cursor, and whether the order begins at it
   */
  settle(readAtMs: number): { readonly placed: Revocation[]; readonly isListPlaced: boolean } {
    const isSettled = (receivedMs: number) => receivedMs + DELAY_TOLERANCE_MS <= readAtMs;
    const isListPlaced = this.#listReceivedMs !== null && isSettled(this.#listReceivedMs);
    if (isListPlaced) this.#listReceivedMs = null;
    let settled = this.#batches.findIndex(({ receivedMs }) => !isSettled(receivedMs));
    if (settled < 0) settled = this.#batches.length;
    const placed = this.#batches.splice(0, settled).flatMap(({ revocations }) => revocations);
    this.#count -= placed.length;
    return { placed, isListPlaced };
  }
}
