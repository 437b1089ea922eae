import { budgetOf } from '../../domain/operation-call.ts';
import type { DatabaseClock } from '../../domain/database-clock.ts';
import { DurationHistogram } from '../../domain/histogram.ts';
import { isSameEpoch, positionOf, transactionOf } from '../../trust/revocation-position.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { Database } from '../../database/database.ts';
import { storeUnavailable } from '../../database/pg-errors.ts';
import { readRevocations, type RevocationPage, type WrittenRevocation } from './revocation-queries.ts';

const READ_LIMIT_MS = 1_000;
const PAGE_ROWS = 10_000;

/**
 * Brings revocations from the database to the trust bundle, each at least once and none missed: every
 * read begins at the oldest transaction that was still running at the read before.
 */
export class RevocationFeed {
  readonly #database: Database;
  readonly #trust: TrustBundle;
  readonly #clock: DatabaseClock;
  /** How long after its transaction began each revocation was known here, those of before the start left out. */
  readonly delay = new DurationHistogram();

  /** @param clock is told the database's time of each read */
  constructor(database: Database, trust: TrustBundle, clock: DatabaseClock) {
    this.#database = database;
    this.#trust = trust;
    this.#clock = clock;
  }

  /** @throws Rejected `store-unavailable`; what was read until then counts */
  async refresh(): Promise<void> {
    const readAtMs = performance.now();
    const known = this.#trust.cursor;
    const since = known === null ? 0n : transactionOf(known);
    const first = await this.#read(since, null);
    const receivedMs = performance.now();
    this.#clock.observe({ databaseMs: first.nowSeconds * 1000, sentMs: readAtMs, receivedMs });
    // Another server behind the same address (a promoted standby, a restored backup), or one that has crashed: what
    // was written at numbers below the cursor may be other revocations than those that are known.
    if (known !== null && (!isSameEpoch(known, horizonOf(first)) || horizonOf(first) < known)) {
      await this.#applyPages(0n, await this.#read(0n, null), readAtMs);
    } else {
      await this.#applyPages(since, first, readAtMs);
    }
    // Nothing new is written here. These connections never write and would stay for ever; new ones may find the
    // primary of today.
    if (first.readOnly) this.#database.replaceConnections();
  }

  async #applyPages(since: bigint, first: RevocationPage, readAtMs: number): Promise<void> {
    // The first page's horizon holds for the whole read: later pages show whatever it leaves out, or the next read does.
    const cursor = horizonOf(first);
    for (let page = first; ; page = await this.#read(since, page.rows.at(-1) ?? null)) {
      if (page.epoch !== first.epoch)
        throw storeUnavailable('the database server changed while the list of revocations was read');
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
    // By the clock that judges tokens here, whatever it says: a revocation is forgotten after its tokens have expired.
    this.#trust.purge(this.#clock.nowMs() / 1000);
  }

  #read(since: bigint, after: WrittenRevocation | null): Promise<RevocationPage> {
    return this.#database.run(budgetOf(READ_LIMIT_MS, Date.now()), (db) =>
      readRevocations(db, { since, after, limit: PAGE_ROWS }),
    );
  }
}

function horizonOf({ epoch, horizon }: RevocationPage): bigint {
  return positionOf(epoch, horizon);
}
