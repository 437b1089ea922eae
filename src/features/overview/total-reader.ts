import { budgetOf } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import { readTotals, type Totals } from './total-queries.ts';

const READ_BUDGET_MS = 1_000;
/** However many pages are open, and whether the last reading succeeded or not. */
const READ_INTERVAL_MS = 5_000;

/** Reads the totals for all callers together, at most once in five seconds. */
export class TotalReader {
  readonly #database: Pick<Database, 'run'>;
  readonly #nowMs: () => number;
  #last: Promise<Totals | null> = Promise.resolve(null);
  #readAtMs = -Infinity;

  /** @param nowMs monotonic time, ms */
  constructor(database: Pick<Database, 'run'>, nowMs: () => number = () => performance.now()) {
    this.#database = database;
    this.#nowMs = nowMs;
  }

  /** Null while the database cannot be read in time. Takes at most a second. */
  read(): Promise<Totals | null> {
    const nowMs = this.#nowMs();
    if (nowMs - this.#readAtMs < READ_INTERVAL_MS) return this.#last;
    this.#readAtMs = nowMs;
    return (this.#last = this.#read());
  }

  async #read(): Promise<Totals | null> {
    try {
      return await this.#database.run(budgetOf(READ_BUDGET_MS, Date.now()), (db) => readTotals(db));
    } catch (error) {
      // Whatever keeps the totals from being read now, such as a full queue: the counters are needed all the more.
      if (error instanceof Rejected) return null;
      throw error;
    }
  }
}
