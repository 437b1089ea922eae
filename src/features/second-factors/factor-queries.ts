import type { Knex } from 'knex';

import type { SecondFactorName } from '../../domain/rejection.ts';
import { prepared } from '../../database/prepared.ts';
import type { Factor } from './factor.ts';

/** The columns of a confirmed factor as it is listed. */
export interface FactorRow {
  id: string;
  kind: Factor['kind'];
  name: string;
  created_at: Date;
  last_used_at: Date | null;
  synced: boolean;
}

/** Of `FactorRow`. */
export const FACTOR_COLUMNS =
  'id, kind, name, created_at, last_used_at, coalesce(backed_up, false) AS synced';

/** The confirmed factors of a user, oldest first. */
export async function listFactorRows(db: Knex, userId: string): Promise<Factor[]> {
  const { rows } = await db.raw<{ rows: FactorRow[] }>(
    `SELECT ${FACTOR_COLUMNS} FROM factors WHERE user_id = ? AND confirmed_at IS NOT NULL ORDER BY created_at, id`,
    [userId],
  );
  return rows.map(toFactor);
}

/**
 * What a user can use as a second factor, in the order of the refusal SECOND_FACTOR_REQUIRED; empty for a user without one. The
 * caller holds the lock on the user, which whoever adds or deletes a factor holds as well.
 */
export async function listSecondFactorNames(
  trx: Knex.Transaction,
  userId: string,
): Promise<readonly SecondFactorName[]> {
  const { rows } = await trx.raw<{ rows: { kind: Factor['kind']; has_codes: boolean }[] }>(
    `SELECT DISTINCT kind, EXISTS (SELECT FROM recovery_codes WHERE user_id = ?) AS has_codes
     FROM factors WHERE user_id = ? AND confirmed_at IS NOT NULL ORDER BY kind DESC`,
    [userId, userId],
  );
  const names: SecondFactorName[] = rows.map(({ kind }) => kind);
  return rows[0]?.has_codes === true ? [...names, 'recovery'] : names;
}

/** The number of confirmed factors of a user. The caller holds the lock on the user. */
export async function countFactors(trx: Knex.Transaction, userId: string): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    'SELECT count(*)::int AS count FROM factors WHERE user_id = ? AND confirmed_at IS NOT NULL',
    [userId],
  );
  return rows[0]?.count ?? 0;
}

/**
 * Deletes a factor of a user, a pending one as well. The caller holds the lock on the user.
 *
 * @returns null when the user has no such factor
 */
export async function deleteFactorRow(
  trx: Knex.Transaction,
  { userId, id }: { readonly userId: string; readonly id: string },
): Promise<Factor['kind'] | null> {
  const { rows } = await trx.raw<{ rows: { kind: Factor['kind'] }[] }>(
    'DELETE FROM factors WHERE id = ? AND user_id = ? RETURNING kind',
    [id, userId],
  );
  return rows[0]?.kind ?? null;
}

/**
 * Deletes all factors of a user, with the recovery codes and the count of wrong codes. The caller holds the lock on the user.
 *
 * @returns how many confirmed factors and recovery codes there were
 */
export async function deleteFactorsOf(
  trx: Knex.Transaction,
  userId: string,
): Promise<{ readonly factors: number; readonly recoveryCodes: number }> {
  const { rows } = await trx.raw<{ rows: { factors: number; recovery_codes: number }[] }>(
    `WITH gone AS (DELETE FROM factors WHERE user_id = :userId RETURNING confirmed_at),
       codes AS (DELETE FROM recovery_codes WHERE user_id = :userId RETURNING true),
       failures AS (DELETE FROM code_failures WHERE user_id = :userId)
     SELECT (SELECT count(confirmed_at)::int FROM gone) AS factors, (SELECT count(*)::int FROM codes) AS recovery_codes`,
    { userId },
  );
  return { factors: rows[0]?.factors ?? 0, recoveryCodes: rows[0]?.recovery_codes ?? 0 };
}

/** A sealed secret with what it was sealed for. */
export interface SealedTotp {
  readonly id: string;
  readonly userId: string;
  readonly sealedSecret: Uint8Array;
}

interface SealedRow {
  id: string;
  user_id: string;
  sealed_secret: Buffer;
}

/** Inserts a TOTP factor that waits for its confirmation, in place of another one of the user that waits. @returns until when */
export async function insertPendingTotp(
  trx: Knex.Transaction,
  factor: SealedTotp & { readonly name: string; readonly pendingSeconds: number },
): Promise<Date> {
  const { id, userId, name, sealedSecret, pendingSeconds } = factor;
  const { rows } = await trx.raw<{ rows: { pending_until: Date }[] }>(
    `WITH replaced AS (
       DELETE FROM factors WHERE user_id = :userId AND kind = 'totp' AND confirmed_at IS NULL
     )
     INSERT INTO factors (id, user_id, kind, name, sealed_secret, pending_until)
     VALUES (:id, :userId, 'totp', :name, :sealedSecret, clock_timestamp() + make_interval(secs => :pendingSeconds))
     RETURNING pending_until`,
    { id, userId, name, sealedSecret: Buffer.from(sealedSecret), pendingSeconds },
  );
  const [row] = rows;
  if (!row) throw new Error('an insertion returned no row');
  return row.pending_until;
}

/** @returns null for a factor that is unknown, another user's, confirmed or expired */
export async function findPendingTotp(
  trx: Knex.Transaction,
  { userId, id }: { readonly userId: string; readonly id: string },
): Promise<SealedTotp | null> {
  const { rows } = await trx.raw<{ rows: SealedRow[] }>(
    `SELECT id, user_id, sealed_secret FROM factors
     WHERE id = ? AND user_id = ? AND kind = 'totp' AND pending_until > clock_timestamp()`,
    [id, userId],
  );
  return rows[0] ? toSealedTotp(rows[0]) : null;
}

/**
 * Confirms a pending factor. The caller holds the lock on the user.
 *
 * @param confirmation.step the time step of the code that confirms it, which is used up by that
 */
export async function confirmTotp(
  trx: Knex.Transaction,
  { id, step }: { readonly id: string; readonly step: number },
): Promise<Factor> {
  const { rows } = await trx.raw<{ rows: FactorRow[] }>(
    `UPDATE factors SET confirmed_at = clock_timestamp(), pending_until = NULL, last_step = ?
     WHERE id = ? RETURNING ${FACTOR_COLUMNS}`,
    [step, id],
  );
  const [row] = rows;
  if (!row) throw new Error('a locked factor is gone');
  return toFactor(row);
}

/** The confirmed TOTP factors of a user, in a fixed order. */
export async function listTotps(trx: Knex.Transaction, userId: string): Promise<SealedTotp[]> {
  const { rows } = await prepared<{ rows: SealedRow[] }>(
    trx,
    'list-totps',
    `SELECT id, user_id, sealed_secret FROM factors
     WHERE user_id = ? AND kind = 'totp' AND confirmed_at IS NOT NULL ORDER BY id`,
    [userId],
  );
  return rows.map(toSealedTotp);
}

/**
 * Uses up the code of a time step, and with it those of all earlier ones, in one conditional UPDATE: of concurrent uses of one
 * code one succeeds, whoever holds which lock.
 *
 * @returns false when this step or a later one was used before
 */
export async function useTotpStep(
  trx: Knex.Transaction,
  { id, step }: { readonly id: string; readonly step: number },
): Promise<boolean> {
  const { rowCount } = await prepared<{ rowCount: number }>(
    trx,
    'use-totp-step',
    'UPDATE factors SET last_step = ?, last_used_at = clock_timestamp() WHERE id = ? AND last_step < ?',
    [step, id, step],
  );
  return rowCount > 0;
}

/** Deletes up to `limit` factors that were not confirmed in time, and returns how many. Locked rows are left for the next purge. */
export async function purgePendingFactors(db: Knex, limit: number): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    `DELETE FROM factors WHERE id = ANY (ARRAY(
       SELECT id FROM factors WHERE pending_until < now() LIMIT ? FOR UPDATE SKIP LOCKED))`,
    [limit],
  );
  return rowCount;
}

export function toFactor(row: FactorRow): Factor {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    synced: row.synced,
  };
}

function toSealedTotp({ id, user_id, sealed_secret }: SealedRow): SealedTotp {
  return { id, userId: user_id, sealedSecret: sealed_secret };
}
