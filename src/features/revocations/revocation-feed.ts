import { budgetOf } from '../../domain/operation-call.ts';
import type { DatabaseClock } from '../../domain/database-clock.ts';
import { DurationHistogram } from '../../domain/histogram.ts';
import { isSameEpoch, positionOf, transactionOf } from '../../trust/revocation-position.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { Database } from '../../database/database.ts';
import { storeUnavailable } from '../../database/pg-errors.ts';
import { readRevocations, type RevocationPage, type WrittenRevocation } from './revocation-queries.ts';

const READ_BUDGET_MS = 1_000;
const PAGE_ROWS = 10_000;

/**
 * Feeds revocations from the database into the trust bundle, each at least once. None is missed, because every read
 * begins at the oldest transaction that was still running at the previous read.
 */
export class RevocationFeed {
  readonly #database: Database;
  readonly #trust: TrustBundle;
  readonly #clock: DatabaseClock;
  /**
   * The delay from the start of a revocation's transaction to its arrival here, ms, without those of the first read.
   */
  readonly delay = new DurationHistogram();

  /** @param clock gets the database's time from each read */
  constructor(database: Database, trust: TrustBundle, clock: DatabaseClock) {
    this.#database = database;
    this.#trust = trust;
    this.#clock = clock;
  }

  /** @throws Rejected `store-unavailable`; the pages that were read before stay applied */
  async refresh(): Promise<void> {
    const readAtMs = performance.now();
    const known = this.#trust.cursor;
    const since = known === null ? 0n : transactionOf(known);
    const first = await this.#read(since, null);
    const receivedMs = performance.now();
    this.#clock.observe({ databaseMs: first.nowSeconds * 1000, sentMs: readAtMs, receivedMs });
    // Another server behind the same address (a promoted standby, a restored backup), or a server after a crash:
    // transactions below the cursor may have written revocations that are unknown here, so everything is read again.
    if (known !== null && (!isSameEpoch(known, horizonOf(first)) || horizonOf(first) < known)) {
      await this.#applyPages(0n, await this.#read(0n, null), readAtMs);
    } else {
      await this.#applyPages(since, first, readAtMs);
    }
    // A read-only server gets no new revocations. New connections may reach the current primary. These ones never
    // write, so nothing else would replace them.
    if (first.readOnly) this.#database.replaceConnections();
  }

  async #applyPages(since: bigint, first: RevocationPage, readAtMs: number): Promise<void> {
    // The horizon of the first page holds for the whole read: what lies beyond it appears on a later page or in the
    // next read.
    const cursor = horizonOf(first);
    for (let page = first; ; page = await this.#read(since, page.rows.at(-1) ?? null)) {
      if (page.epoch !== first.epoch)
        throw storeUnavailable(
          'the database server changed while revocations were read; the next read starts over',
        );
      const complete = page.rows.length < PAGE_ROWS;
      const revocations = page.rows.map(({ writtenBy, kind, id, expiresAtSeconds }) => ({
        kind,
        id,
        expiresAtSeconds,
        position: positionOf(page.epoch, writtenBy),
      }));
      const isFirstRead = since === 0n;
      const fresh = new Set(this.#trust.applyUpdates({ revocations, cursor, complete, readAtMs }));
      for (const [index, revocation] of revocations.entries()) {
        if (!isFirstRead && fresh.has(revocation)) this.delay.observe(page.rows[index]?.ageMs ?? 0);
      }
      if (complete) break;
    }
    // Purged by the same clock that checks tokens, so that a revocation is dropped only after its tokens have expired.
    this.#trust.purge(this.#clock.nowMs() / 1000);
  }

  #read(since: bigint, after: WrittenRevocation | null): Promise<RevocationPage> {
    return this.#database.run(budgetOf(READ_BUDGET_MS, Date.now()), (db) =>
      readRevocations(db, { since, after, limit: PAGE_ROWS }),
    );
  }
}

function horizonOf({ epoch, horizon }: RevocationPage): bigint {
  return positionOf(epoch, horizon);
}
