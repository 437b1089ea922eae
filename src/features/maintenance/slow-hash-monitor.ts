import { budgetOf } from '../../domain/operation-call.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Database } from '../../database/database.ts';
import { distinctHashKinds } from '../users/user-queries.ts';

const CHECK_INTERVAL_MS = 60_000;
const BUDGET_MS = 1_000;

/**
 * Reports the stored kinds of password hashes to the hasher at the start and every minute, so that the refusal delay
 * covers the slowest (L02). A slower hash that an import stores in between is noticed at its first login.
 */
export class SlowHashMonitor {
  readonly #database: Database;
  readonly #hasher: PasswordHasher;
  #nextMs = -Infinity;

  constructor(database: Database, hasher: PasswordHasher) {
    this.#database = database;
    this.#hasher = hasher;
  }

  /**
   * Reads the kinds when a minute has passed; does not wait for their measurement. `nowMs` is monotonic.
   *
   * @throws Rejected `store-unavailable`
   */
  async refresh(nowMs: number): Promise<void> {
    if (nowMs < this.#nextMs) return;
    const kinds = await this.#database.run(budgetOf(BUDGET_MS, Date.now()), (db) => distinctHashKinds(db));
    void this.#hasher.expectKinds(kinds);
    this.#nextMs = nowMs + CHECK_INTERVAL_MS;
  }
}
