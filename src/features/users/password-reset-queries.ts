import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';
import type { Email } from './email.ts';

interface PasswordResetRow {
  user_id: string;
  token_digest: Buffer;
  expires_at: Date;
}

/** A reset that is not used yet, and its user. */
export interface PendingReset {
  readonly userId: string;
  readonly email: Email;
  readonly disabled: boolean;
  /** PHC string; null for a user without a password. */
  readonly passwordHash: string | null;
}

/** Stores a user's pending reset. It replaces an earlier one, whose token becomes invalid. */
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
 * Finds the unexpired reset of a token by the token's digest. The digest is keyed with a secret, so the time of the index
 * look-up reveals nothing about stored tokens.
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

/** Consumes a token. Of any number of concurrent calls exactly one returns true. */
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

/** Deletes a user's pending reset, if there is one. */
export async function deletePasswordReset(db: Knex, userId: string): Promise<void> {
  await db<PasswordResetRow>('password_resets').where({ user_id: userId }).delete();
}

/** Deletes up to `limit` expired resets and returns how many. */
export function purgePasswordResets(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'password_resets', keptSeconds: 0 }, limit);
}

export async function deleteAllPasswordResets(db: Knex): Promise<void> {
  await db('password_resets').delete();
}
