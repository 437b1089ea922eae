import type { CallBudget } from '../../../domain/operation-call.ts';
import type { Database } from '../../../database/database.ts';
import { findUsedIds, findUsersWithAny } from './import-queries.ts';
import { SeenTexts } from './seen-texts.ts';
import type { AcceptedRow } from './validate-import-row.ts';

/** The ids of a row or a user. */
type Ids = Pick<AcceptedRow, 'id' | 'externalId'>;

const ANOTHER_ID = 'id: the user with this e-mail has another id';
const ANOTHER_EXTERNAL_ID = 'external_id: the user with this e-mail has another external_id, or none';
const ID_TAKEN =
  'id: belongs to another user or a service account, or did before it was deleted; leave it empty, or keep it as external_id';
const EXTERNAL_ID_TAKEN = 'external_id: belongs to another user';

/**
 * Finds the rows that cannot have the ids that they bring: ids that are taken, and other ids than the user with the row's
 * e-mail has. Such a row is refused instead of skipped, lest somebody believe that the old ids lead to the users.
 */
export class IdConflicts {
  /** What earlier batches would have stored, in a dry run. */
  readonly #dryRun: { readonly emails: SeenTexts; readonly ids: SeenTexts } | null;

  /** @param emails the e-mails of earlier batches in a dry run; null when they are stored */
  constructor(emails: SeenTexts | null) {
    this.#dryRun = emails && { emails, ids: new SeenTexts() };
  }

  /** The rows of a batch that must be refused, each with its reason. */
  async findIn(
    database: Database,
    rows: readonly AcceptedRow[],
    call: CallBudget,
  ): Promise<ReadonlyMap<AcceptedRow, string>> {
    const refused = new Map<AcceptedRow, string>();
    const withIds = rows.filter(hasIds);
    if (withIds.length === 0) return refused;
    const ids = withIds.flatMap(({ id }) => id ?? []);
    const externalIds = withIds.flatMap(({ externalId }) => externalId ?? []);
    const emails = withIds.map(({ email }) => email);
    const users = await database.run(call, (db) => findUsersWithAny(db, { emails, ids, externalIds }));
    const usedIds = await database.run(call, (db) => findUsedIds(db, ids));
    const owners = new Map<string, Ids>(users.map((user) => [user.email, user]));
    const taken = new Set([...usedIds].map(idKey));
    for (const user of users) for (const key of keysOf(user)) taken.add(key);
    for (const row of rows) {
      const reason = this.#conflictOf(row, owners.get(row.email), taken);
      if (reason !== null) refused.set(row, reason);
      else if (!owners.has(row.email)) {
        owners.set(row.email, row);
        for (const key of keysOf(row)) taken.add(key);
      }
    }
    for (const row of rows) {
      if (refused.has(row)) continue;
      for (const key of [...keysOf(row), ...pairsOf(row)]) this.#dryRun?.ids.add(key);
    }
    return refused;
  }

  #conflictOf(row: AcceptedRow, owner: Ids | undefined, taken: ReadonlySet<string>): string | null {
    const { id, externalId } = row;
    if (owner) {
      if (id !== null && id !== owner.id) return ANOTHER_ID;
      return externalId !== null && externalId !== owner.externalId ? ANOTHER_EXTERNAL_ID : null;
    }
    const earlier = this.#dryRun?.ids;
    if (this.#dryRun?.emails.has(row.email)) {
      if (id !== null && !earlier?.has(`${row.email} ${idKey(id)}`)) return ANOTHER_ID;
      const pair = `${row.email} ${externalIdKey(externalId ?? '')}`;
      return externalId !== null && !earlier?.has(pair) ? ANOTHER_EXTERNAL_ID : null;
    }
    const isTaken = (key: string) => taken.has(key) || earlier?.has(key) === true;
    if (id !== null && isTaken(idKey(id))) return ID_TAKEN;
    return externalId !== null && isTaken(externalIdKey(externalId)) ? EXTERNAL_ID_TAKEN : null;
  }
}

export function hasIds({ id, externalId }: Ids): boolean {
  return id !== null || externalId !== null;
}

const idKey = (id: string) => `id ${id}`;
const externalIdKey = (externalId: string) => `external_id ${externalId}`;

function keysOf({ id, externalId }: Ids): string[] {
  return [...(id === null ? [] : [idKey(id)]), ...(externalId === null ? [] : [externalIdKey(externalId)])];
}

function pairsOf(row: AcceptedRow): string[] {
  return keysOf(row).map((key) => `${row.email} ${key}`);
}
