import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { type ApiKeyUse, recordUses } from './api-key-feed-queries.ts';

const FLUSH_INTERVAL_MS = 60_000;
const FLUSH_BUDGET_MS = 2_000;
/** What one statement records. */
const BATCH_ROWS = 1_000;
/** No more than there can be keys; beyond it, uses of further keys are left out until the next flush. */
const MAX_KEYS = 200_000;

/**
 * Collects when and from where each key was used last, and writes it once a minute: a write for each call would let the calls
 * with one key wait for each other.
 */
export class ApiKeyUses {
  readonly #database: Database;
  readonly #nowMs: () => number;
  #uses = new Map<string, { atMs: number; address: string | null }>();
  readonly #timer: NodeJS.Timeout;

  /** @param nowMs Unix time */
  constructor(database: Database, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
    this.#timer = setInterval(() => void this.flush(), FLUSH_INTERVAL_MS).unref();
  }

  note(id: string, address: string | null): void {
    const known = this.#uses.get(id);
    const nowMs = this.#nowMs();
    if (known === undefined) {
      if (this.#uses.size < MAX_KEYS) this.#uses.set(id, { atMs: nowMs, address });
    } else {
      known.atMs = nowMs;
      known.address = address;
    }
  }

  /** Uses that cannot be written, since the database does not answer, are forgotten: they are no reason to grow. */
  async flush(): Promise<void> {
    const uses = [...this.#uses].map(([id, { atMs, address }]): ApiKeyUse => ({
      id,
      at: new Date(atMs),
      address,
    }));
    this.#uses = new Map();
    for (let start = 0; start < uses.length; start += BATCH_ROWS) {
      const batch = uses.slice(start, start + BATCH_ROWS);
      const written = this.#database.run(budgetOf(FLUSH_BUDGET_MS, Date.now()), (db) =>
        recordUses(db, batch),
      );
      if (
        !(await written.then(
          () => true,
          () => false,
        ))
      )
        return;
    }
  }

  /** Writes what is left. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}
