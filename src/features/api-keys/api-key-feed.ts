import { withTimeout } from '../../domain/concurrency/timeout.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { storeUnavailable } from '../../database/pg-errors.ts';
import type { ApiKeyDirectory } from './api-key-directory.ts';
import { type ApiKeyPage, readApiKeys } from './api-key-feed-queries.ts';

const READ_BUDGET_MS = 1_000;
/** The MACs of a page take a few milliseconds. */
const PAGE_ROWS = 2_000;
/** A key that another instance has just made arrives within a few milliseconds. */
const MAX_WAIT_MS = 100;
const MAX_WAITING_CALLS = 100;

interface WaitingCall {
  readonly isAnswered: () => boolean;
  resume: () => void;
}

/**
 * Feeds API keys from the database into the directory, in the order of the transactions that wrote them, as `RevocationFeed`
 * does: none is missed, because every read begins at the oldest transaction that was still running at the previous one.
 */
export class ApiKeyFeed {
  readonly #database: Database;
  readonly #directory: ApiKeyDirectory;
  readonly #nowSeconds: () => number;
  #known: { readonly epoch: bigint; readonly horizon: bigint } | null = null;
  #readAtMs = -Infinity;
  readonly #waiting = new Set<WaitingCall>();

  /** @param nowSeconds Unix time by the clock that keys expire by */
  constructor(database: Database, directory: ApiKeyDirectory, nowSeconds: () => number) {
    this.#database = database;
    this.#directory = directory;
    this.#nowSeconds = nowSeconds;
  }

  /** The time since the start of the last read that is complete, ms; Infinity before the first. */
  get ageMs(): number {
    return performance.now() - this.#readAtMs;
  }

  /** @throws Rejected `store-unavailable`; the pages that were read before stay applied */
  async refresh(): Promise<void> {
    const readAtMs = performance.now();
    const waitingSinceBefore = new Set(this.#waiting);
    try {
      this.#directory.beginRead();
      const known = this.#known;
      const first = await this.#read(known?.horizon ?? 0n, null);
      // Another server, or one after a crash, gives out transaction numbers again that were already seen.
      const isRewound = known !== null && (known.epoch !== first.epoch || first.horizon < known.horizon);
      if (known !== null && !isRewound) await this.#apply(known.horizon, first, null);
      else {
        const found = new Set<string>();
        await this.#apply(0n, isRewound ? await this.#read(0n, null) : first, found);
        this.#directory.keepOnly(found);
      }
      this.#known = { epoch: first.epoch, horizon: first.horizon };
      this.#readAtMs = readAtMs;
      this.#directory.purge(this.#nowSeconds());
    } finally {
      for (const call of this.#waiting) if (waitingSinceBefore.has(call) || call.isAnswered()) call.resume();
    }
  }

  /**
   * Waits for the next read, for a call with a key that is refused: another instance may have just made or changed it. A
   * guessed key costs no query, because the call brings no read forward. Resolves at once when too many calls wait already.
   *
   * @param isAnswered whether a read that had begun before has brought what the call waits for
   */
  async nextRead(isAnswered: () => boolean): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING_CALLS) return;
    const call: WaitingCall = { isAnswered, resume: () => undefined };
    const read = new Promise<void>((resolve) => (call.resume = resolve));
    this.#waiting.add(call);
    await withTimeout(read, MAX_WAIT_MS, () => undefined);
    this.#waiting.delete(call);
  }

  async #apply(since: bigint, first: ApiKeyPage, found: Set<string> | null): Promise<void> {
    for (let page = first; ; page = await this.#read(since, page.keys.at(-1) ?? null)) {
      if (page.epoch !== first.epoch)
        throw storeUnavailable(
          'the database server changed while API keys were read; the next read starts over',
        );
      for (const key of page.keys) {
        this.#directory.apply(key);
        if (!key.revoked) found?.add(key.id);
      }
      if (page.keys.length < PAGE_ROWS) return;
    }
  }

  #read(since: bigint, after: ApiKeyPage['keys'][number] | null): Promise<ApiKeyPage> {
    const page = { since, after, limit: PAGE_ROWS, validOnly: since === 0n };
    return this.#database.run(budgetOf(READ_BUDGET_MS, Date.now()), (db) => readApiKeys(db, page));
  }
}
