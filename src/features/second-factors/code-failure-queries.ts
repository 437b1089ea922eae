import type { Knex } from 'knex';

import { prepared } from '../../database/prepared.ts';
import { purgeBatch } from '../../database/purge-batch.ts';

/** The wrong codes of a user within the current window. The caller holds the lock on the user. */
export async function readCodeFailures(trx: Knex.Transaction, userId: string): Promise<number> {
  const { rows } = await prepared<{ rows: { failures: number }[] }>(
    trx,
    'read-code-failures',
    'SELECT failures FROM code_failures WHERE user_id = ? AND expires_at > clock_timestamp()',
    [userId],
  );
  return rows[0]?.failures ?? 0;
}

/**
 * Counts a wrong code; the window begins with the first. The caller holds the lock on the user, commits the count although it
 * refuses the call, and has read the count under the same lock before it evaluated the code.
 *
 * @returns the wrong codes within the window, with this one
 */
export async function countCodeFailure(
  trx: Knex.Transaction,
  userId: string,
  windowSeconds: number,
): Promise<number> {
  const { rows } = await prepared<{ rows: [{ failures: number }] }>(
    trx,
    'count-code-failure',
    `INSERT INTO code_failures AS c (user_id, failures, expires_at)
     VALUES (?, 1, clock_timestamp() + make_interval(secs => ?))
     ON CONFLICT (user_id) DO UPDATE SET
       failures = CASE WHEN c.expires_at > clock_timestamp() THEN c.failures + 1 ELSE 1 END,
       expires_at = CASE WHEN c.expires_at > clock_timestamp() THEN c.expires_at ELSE excluded.expires_at END
     RETURNING failures`,
    [userId, windowSeconds],
  );
  return rows[0].failures;
}

/** Forgets the wrong codes of a user. The caller holds the lock on the user. */
export async function deleteCodeFailures(trx: Knex.Transaction, userId: string): Promise<void> {
  await trx.raw('DELETE FROM code_failures WHERE user_id = ?', [userId]);
}

/** Deletes up to `limit` expired counts and returns how many. */
export function purgeCodeFailures(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'code_failures', keptSeconds: 0 }, limit);
}
