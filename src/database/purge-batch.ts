import type { Knex } from 'knex';

/**
 * Deletes a batch of a table's expired rows and returns how many. Rows that somebody else holds are left for the next
 * time, so that nobody waits for it and it waits for nobody.
 *
 * @param expired.keptSeconds how long a row stays beyond its `expires_at`
 */
export async function purgeBatch(
  db: Knex,
  expired: { readonly table: string; readonly keptSeconds: number },
  limit: number,
): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    `DELETE FROM :table: WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM :table: WHERE expires_at < now() - make_interval(secs => :keptSeconds) LIMIT :limit
       FOR UPDATE SKIP LOCKED))`,
    { ...expired, limit },
  );
  return rowCount;
}
