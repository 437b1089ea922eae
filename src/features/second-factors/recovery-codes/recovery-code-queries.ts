import type { Knex } from 'knex';

import { prepared } from '../../../database/prepared.ts';

export async function countRecoveryCodes(db: Knex, userId: string): Promise<number> {
  const { rows } = await db.raw<{ rows: { count: number }[] }>(
    'SELECT count(*)::int AS count FROM recovery_codes WHERE user_id = ?',
    [userId],
  );
  return rows[0]?.count ?? 0;
}

/** Replaces the recovery codes of a user; by none to delete them. The caller holds the lock on the user. */
export async function replaceRecoveryCodeRows(
  trx: Knex.Transaction,
  userId: string,
  digests: readonly Uint8Array[],
): Promise<void> {
  await trx.raw('DELETE FROM recovery_codes WHERE user_id = ?', [userId]);
  if (digests.length === 0) return;
  await trx.raw('INSERT INTO recovery_codes (user_id, digest) SELECT ?, unnest(?::bytea[])', [
    userId,
    digests.map((digest) => Buffer.from(digest)),
  ]);
}

/** Uses up a recovery code: of concurrent uses one succeeds. @returns how many are left; null when the user has no such code */
export async function consumeRecoveryCode(
  trx: Knex.Transaction,
  userId: string,
  digest: Uint8Array,
): Promise<number | null> {
  const { rowCount } = await prepared<{ rowCount: number }>(
    trx,
    'consume-recovery-code',
    'DELETE FROM recovery_codes WHERE user_id = ? AND digest = ? RETURNING true',
    [userId, Buffer.from(digest)],
  );
  return rowCount === 0 ? null : countRecoveryCodes(trx, userId);
}

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
