import type { Knex } from 'knex';

/**
 * Deletes the recovery codes of all users: in a database that was restored from a backup, codes that were used since are valid
 * again.
 *
 * @returns how many users had some
 */
export async function deleteAllRecoveryCodes(trx: Knex): Promise<number> {
  const { rows } = await trx.raw<{ rows: { users: number }[] }>(
    `WITH gone AS (DELETE FROM recovery_codes RETURNING user_id)
     SELECT count(DISTINCT user_id)::int AS users FROM gone`,
  );
  return rows[0]?.users ?? 0;
}
