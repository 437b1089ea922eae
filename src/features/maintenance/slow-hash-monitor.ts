import { budgetOf } from '../../domain/operation-call.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Database } from '../../database/database.ts';
import { distinctHashKinds } from '../users/user-queries.ts';

const CHECK_INTERVAL_MS = 60_000;
const LIMIT_MS = 1_000;

/**
 * Tells the hasher which kinds of password hashes are stored, so that refusals wait for the slowest (L02): at the start
 * and every minute. A slow hash that comes in between, by an import, is noticed at its first login.
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
   * Reads the kinds when it is time to, and does not wait for measurements. `nowMs` is monotonic.
   *
   * @throws Rejected `store-unavailable`
   */
  async refresh(nowMs: number): Promise<void> {
    if (nowMs < this.#nextMs) return;
    const kinds = await this.#database.run(budgetOf(LIMIT_MS, Date.now()), (db) => distinctHashKinds(db));
    void this.#hasher.expectKinds(kinds);
    this.#nextMs = nowMs + CHECK_INTERVAL_MS;
  }
}
