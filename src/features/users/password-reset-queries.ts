import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';
import type { Email } from './email.ts';

interface PasswordResetRow {
  user_id: string;
  token_digest: Buffer;
  expires_at: Date;
}

/** Whose password may be set, once. */
export interface PendingReset {
  readonly userId: string;
  readonly email: Email;
  readonly disabled: boolean;
  /** PHC string, or null of a user who has no password yet. */
  readonly passwordHash: string | null;
}

/** Stores a user's pending reset in place of an earlier one, whose token ends with it. */
export async function upsertPasswordReset(
  db: Knex,
  reset: { userId: string; tokenDigest: Uint8Array; lifetimeSeconds: number },
): Promise<{ expiresAt: Date }> {
  const { rows } = await db.raw<{ rows: Pick<PasswordResetRow, 'expires_at'>[] }>(
    `INSERT INTO password_resets (user_id, token_digest, expires_at)
     VALUES (?, ?, clock_timestamp() + make_interval(secs => ?))
     ON CONFLICT (user_id) DO UPDATE
       SET token_digest = excluded.token_digest, expires_at = excluded.expires_at, created_at = now()
     RETURNING expires_at`,
    [reset.userId, Buffer.from(reset.tokenDigest), reset.lifetimeSeconds],
  );
  return { expiresAt: (rows[0] as PasswordResetRow).expires_at };
}

/**
 * The pending reset of a token that is good now. Found by its digest: made with a key that a caller does not have, it
 * gives the time of a comparison no meaning.
 */
export async function findPasswordReset(db: Knex, tokenDigest: Uint8Array): Promise<PendingReset | null> {
  const { rows } = await db.raw<{ rows: PendingReset[] }>(
    `SELECT r.user_id AS "userId", u.email, u.disabled_at IS NOT NULL AS disabled, u.password_hash AS "passwordHash"
     FROM password_resets r JOIN users u ON u.id = r.user_id
     WHERE r.token_digest = ? AND r.expires_at > clock_timestamp()`,
    [Buffer.from(tokenDigest)],
  );
  return rows[0] ?? null;
}

/** Uses a token up; of any number of racers one gets true. */
export async function consumePasswordReset(
  db: Knex,
  reset: { userId: string; tokenDigest: Uint8Array },
): Promise<boolean> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    'DELETE FROM password_resets WHERE user_id = ? AND token_digest = ? AND expires_at > clock_timestamp()',
    [reset.userId, Buffer.from(reset.tokenDigest)],
  );
  return rowCount === 1;
}

/** Ends a user's pending reset, if there is one. */
export async function deletePasswordReset(db: Knex, userId: string): Promise<void> {
  await db<PasswordResetRow>('password_resets').where({ user_id: userId }).delete();
}

/** Forgets a batch of expired resets and returns how many. */
export function purgePasswordResets(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'password_resets', keptSeconds: 0 }, limit);
}

/** Forgets every pending reset. */
export async function deleteAllPasswordResets(db: Knex): Promise<void> {
  await db('password_resets').delete();
}
