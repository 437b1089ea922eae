import type { Knex } from 'knex';

/** An audience that an administrator added. */
export interface AddedAudience {
  readonly name: string;
  readonly createdAt: Date;
}

/** Every token is compared with all of them, and all of them are in each update of the trust stream. */
export const MAX_ADDED_AUDIENCES = 256;

/** Reads the added audiences by name. */
export async function readAddedAudiences(db: Knex): Promise<AddedAudience[]> {
  const { rows } = await db.raw<{ rows: { name: string; created_at: Date }[] }>(
    'SELECT name, created_at FROM audiences ORDER BY name COLLATE "C" LIMIT ?',
    [MAX_ADDED_AUDIENCES],
  );
  return rows.map(({ name, created_at: createdAt }) => ({ name, createdAt }));
}

/**
 * Adds an audience unless it exists.
 *
 * @returns null when there are as many as there may be
 */
export async function insertAudience(
  trx: Knex.Transaction,
  name: string,
): Promise<{ readonly audience: AddedAudience; readonly isNew: boolean } | null> {
  // One at a time, so that two do not both take the last place. Readers do not wait.
  await trx.raw('LOCK TABLE audiences IN SHARE ROW EXCLUSIVE MODE');
  const existing = await readAddedAudiences(trx);
  const found = existing.find((audience) => audience.name === name);
  if (found) return { audience: found, isNew: false };
  if (existing.length >= MAX_ADDED_AUDIENCES) return null;
  const { rows } = await trx.raw<{ rows: { created_at: Date }[] }>(
    'INSERT INTO audiences (name) VALUES (?) RETURNING created_at',
    [name],
  );
  return { audience: { name, createdAt: rows[0]?.created_at ?? new Date() }, isNew: true };
}

/** @returns whether there was such an audience */
export async function deleteAudienceRow(db: Knex, name: string): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>('DELETE FROM audiences WHERE name = ? RETURNING 1', [
    name,
  ]);
  return rows.length > 0;
}

/** Which of the names are added audiences. They cannot be deleted until the transaction ends. */
export async function lockAddedAudiences(trx: Knex.Transaction, names: readonly string[]): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    'SELECT name FROM audiences WHERE name = ANY (?::text[]) ORDER BY name FOR KEY SHARE',
    [[...names]],
  );
  return rows.map(({ name }) => name);
}
