import type { Knex } from 'knex';

/**
 * Deletes up to `limit` expired rows of a table and returns how many. Rows locked by another transaction are skipped
 * and left for the next purge, so neither waits for the other.
 *
 * @param expired.keptSeconds how long a row is kept after its `expires_at`
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
