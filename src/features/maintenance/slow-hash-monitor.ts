import { budgetOf } from '../../domain/operation-call.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Database } from '../../database/database.ts';
import { distinctHashKinds } from '../users/user-queries.ts';

const EVERY_MS = 60_000;
const LIMIT_MS = 1_000;

/**
 * Keeps the hasher told which kinds of password hashes are stored, so that refusals wait for the slowest (L02): at the
 * start, every minute, and when `look` is called after an import. A slow hash that comes in between is noticed at its
 * first login.
 */
export class SlowHashMonitor {
  readonly #database: Database;
  readonly #hasher: PasswordHasher;
  #nextMs = -Infinity;

  constructor(database: Database, hasher: PasswordHasher) {
    this.#database = database;
    this.#hasher = hasher;
  }

  /** Looks when it is time to. Resolves without waiting for measurements. `nowMs` is monotonic. */
  async refresh(nowMs: number): Promise<void> {
    if (nowMs < this.#nextMs) return;
    await this.look();
    this.#nextMs = nowMs + EVERY_MS;
  }

  /** @throws Rejected `store-unavailable` */
  async look(): Promise<void> {
    const kinds = await this.#database.run(budgetOf(LIMIT_MS, Date.now()), (db) => distinctHashKinds(db));
    void this.#hasher.expectKinds(kinds);
  }
}
