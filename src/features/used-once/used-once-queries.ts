import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';

/** A thing that is accepted once. */
export interface UsedOnce {
  /** The kind of thing, so that two kinds never share a digest. */
  readonly purpose: 'client-assertion' | 'outside-token' | 'passkey-challenge';
  /** SHA-256 of what identifies it, its owner included. */
  readonly digest: Uint8Array;
  /** Unix time from which it is refused as expired. */
  readonly expiresAtSeconds: number;
}

/**
 * How long after its expiry, by the database's clock, a thing can still be marked as used: any clock skew that is allowed for it
 * (60 s), and a minute for an instance whose clock is behind.
 */
const MAX_LATE_SECONDS = 120;
/** How long a row outlives the thing. Longer than `MAX_LATE_SECONDS`, or what has lost its row could be used again. */
const KEPT_SECONDS = 180;

/**
 * The SQL that marks a thing as used, for use in a WITH clause of the statement that acts on it: either both happen or
 * neither. It returns one row for each row of `source` if the thing was not used before, none otherwise. A concurrent use
 * of the same thing waits for the first to commit. None either for a thing that has expired so long ago that its row may be
 * gone: an instance whose clock is further behind would accept it again.
 *
 * @param source the name of a query in the WITH clause of that statement, or a subquery, with at most one row
 */
export function usedOnceInsertFrom(
  source: string,
  { purpose, digest, expiresAtSeconds }: UsedOnce,
): { sql: string; bindings: (string | Buffer | number)[] } {
  return {
    sql: `INSERT INTO used_once (purpose, digest, expires_at) SELECT ?, ?, to_timestamp(?) FROM ${source}
         WHERE to_timestamp(?) > clock_timestamp() - make_interval(secs => ?)
       ON CONFLICT DO NOTHING RETURNING 1`,
    bindings: [purpose, Buffer.from(digest), expiresAtSeconds, expiresAtSeconds, MAX_LATE_SECONDS],
  };
}

/** Marks a thing as used. @returns whether it was not used before, nor has expired too long ago to know */
export async function useOnce(db: Knex, used: UsedOnce): Promise<boolean> {
  const insert = usedOnceInsertFrom('(SELECT) AS moment', used);
  const { rows } = await db.raw<{ rows: unknown[] }>(insert.sql, insert.bindings);
  return rows.length > 0;
}

/** Deletes a batch of things that are refused as expired by now, and returns how many. */
export function purgeUsedOnce(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'used_once', keptSeconds: KEPT_SECONDS }, limit);
}
