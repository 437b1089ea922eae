import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { readAddedAudiences } from './audience-queries.ts';

const READ_BUDGET_MS = 1_000;

export type AudienceNames = readonly [string, ...string[]];

/**
 * The audiences that tokens can have at this moment, in memory. While the database cannot be read, the last ones that were
 * read stay.
 */
export class Audiences {
  /** Those of POSTERN_AUDIENCE, the default first. */
  readonly configured: AudienceNames;
  readonly #database: Database;
  readonly #onChange: () => void;
  #all: AudienceNames;
  #reads = 0;
  #lastApplied = 0;

  /** @param options.onChange called after the audiences have changed */
  constructor(options: { configured: AudienceNames; database: Database; onChange: () => void }) {
    this.configured = options.configured;
    this.#database = options.database;
    this.#onChange = options.onChange;
    this.#all = options.configured;
  }

  /** The configured audiences, the default first, and the added ones by name. The same array while they are the same. */
  get all(): AudienceNames {
    return this.#all;
  }

  /** @throws Rejected `store-unavailable` */
  async refresh(): Promise<void> {
    this.#reads += 1;
    const read = this.#reads;
    const added = await this.#database.run(budgetOf(READ_BUDGET_MS, Date.now()), (db) =>
      readAddedAudiences(db),
    );
    // Reads may end in another order than they began: an older one must not bring a deleted audience back.
    if (read < this.#lastApplied) return;
    this.#lastApplied = read;
    const names = added.map(({ name }) => name).filter((name) => !this.configured.includes(name));
    const all: AudienceNames = [...this.configured, ...names];
    if (all.length === this.#all.length && all.every((name, index) => name === this.#all[index])) return;
    this.#all = all;
    this.#onChange();
  }
}
