import type { Database } from '../../database/database.ts';
import { STORE_USE_LIMIT_MS } from '../../database/time-limits.ts';
import { budgetOf, type CallBudget } from '../../domain/operation-call.ts';
import { type AuditRecord, insertAuditEvent, insertAuditEvents } from './audit-queries.ts';

const MAX_GROUP = 64;

interface WaitingRecord {
  readonly record: AuditRecord;
  readonly budget: CallBudget;
  readonly isCancelled: () => boolean;
  readonly resolve: (written: void | Promise<void>) => void;
}

/**
 * Writes the events of calls that change nothing, one statement at a time. Events that come meanwhile share the next one.
 * Anybody can cause refusals: with a statement for each, a burst of them would take every connection of the pool, and other
 * calls would wait behind it (S09).
 */
export class AuditWriter {
  readonly #database: Database;
  readonly #waiting: WaitingRecord[] = [];
  #isWriting = false;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Resolves after the commit.
   *
   * @throws Rejected `store-unavailable`, `server-overloaded`, `deadline-exceeded`, `cancelled`; the event may have been written
   *   nevertheless
   */
  write(budget: CallBudget, record: AuditRecord): Promise<void> {
    return this.#database.waitFor(
      budget,
      (isCancelled) =>
        new Promise((resolve) => {
          this.#waiting.push({ record, budget, isCancelled, resolve });
          if (!this.#isWriting) void this.#writeGroups();
        }),
    );
  }

  async #writeGroups(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, MAX_GROUP).filter(({ isCancelled }) => !isCancelled());
      if (group.length > 0) await this.#writeGroup(group);
    }
    this.#isWriting = false;
  }

  async #writeGroup(group: readonly WaitingRecord[]): Promise<void> {
    const records = group.map(({ record }) => record);
    try {
      await this.#database.run(budgetOf(STORE_USE_LIMIT_MS, Date.now()), (db) =>
        insertAuditEvents(db, records),
      );
      for (const { resolve } of group) resolve();
    } catch {
      // Each event meets the fault by itself, or is written, if the fault was another event's or is over.
      for (const { resolve, budget, record } of group)
        resolve(this.#database.run(budget, (db) => insertAuditEvent(db, record)));
    }
  }
}
