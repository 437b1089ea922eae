import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { type AuditRecord, auditInsertFrom } from '../audit/audit-queries.ts';
import { REVOCATION_MARGIN_SECONDS, revocationUpsert } from '../revocations/revocation-queries.ts';

/** Whether a token was recorded; otherwise what was wrong, which only the log tells apart. */
export type RecordedToken =
  | {
      readonly outcome: 'recorded';
      /** The account's current roles. */
      readonly roles: readonly string[];
      /** How many live tokens it has, counted up to one above `countUpTo`. */
      readonly held: number;
    }
  | { readonly outcome: 'unknown-service' | 'wrong-secret' };

/**
 * Checks a service's secret and records a token that is about to be issued. The share lock serializes this with a deletion
 * or a rotation of the secret: the later one sees what the earlier one has written, so that every token is found and
 * revoked.
 *
 * @param issue.secretDigest the digest of the secret that the caller presented; null for one that no account accepts. It is
 *   keyed, so the time of its comparison reveals nothing about the stored one.
 */
export async function recordServiceToken(
  db: Knex,
  issue: {
    tokenId: string;
    accountId: string;
    secretDigest: Uint8Array | null;
    lifetimeSeconds: number;
    countUpTo: number;
  },
  audit: AuditRecord,
): Promise<RecordedToken> {
  const { tokenId, accountId, lifetimeSeconds, countUpTo } = issue;
  const digest = issue.secretDigest && Buffer.from(issue.secretDigest);
  const audited = auditInsertFrom('account', audit);
  const { rows } = await db.raw<{ rows: { roles: string[] | null; held: number }[] }>(
    `WITH known AS (
       SELECT id FROM service_accounts WHERE id = ?
     ), account AS (
       SELECT id, roles FROM service_accounts
       WHERE id = ? AND (secret_digest = ? OR (previous_digest = ? AND previous_until > clock_timestamp()))
       FOR SHARE
     ), issued AS (
       INSERT INTO service_tokens (id, account_id, expires_at)
       SELECT ?, id, clock_timestamp() + make_interval(secs => ?) FROM account
     ), audited AS (${audited.sql})
     SELECT account.roles,
            CASE WHEN account.id IS NULL THEN 0 ELSE
              (SELECT count(*) FROM (SELECT 1 FROM service_tokens WHERE account_id = ? LIMIT ?) t)::int + 1 END AS held
     FROM known LEFT JOIN account ON true`,
    [
      accountId,
      accountId,
      digest,
      digest,
      tokenId,
      lifetimeSeconds,
      ...audited.bindings,
      accountId,
      countUpTo,
    ],
  );
  const [row] = rows;
  if (!row) return { outcome: 'unknown-service' };
  return row.roles === null
    ? { outcome: 'wrong-secret' }
    : { outcome: 'recorded', roles: row.roles, held: row.held };
}

/**
 * Revokes every token of an account that may still be valid. The caller must hold the lock on the account's row, so
 * that no token is issued meanwhile.
 */
export async function revokeServiceTokens(db: Knex, accountId: string): Promise<Revocation[]> {
  return revokeWhere(db, 'account_id = ?', [accountId]);
}

/** Revokes all but the newest `limit` tokens of an account. Skips tokens that a concurrent call is revoking. */
export async function revokeOldestServiceTokens(
  db: Knex,
  accountId: string,
  limit: number,
): Promise<Revocation[]> {
  return revokeWhere(
    db,
    `id IN (SELECT id FROM service_tokens WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM service_tokens WHERE account_id = ? ORDER BY expires_at DESC OFFSET ?))
       FOR UPDATE SKIP LOCKED)`,
    [accountId, limit],
  );
}

async function revokeWhere(
  db: Knex,
  condition: string,
  values: readonly (string | number)[],
): Promise<Revocation[]> {
  const { rows } = await db.raw<{ rows: { id: string; expires_at: Date }[] }>(
    `WITH ended AS (
       DELETE FROM service_tokens WHERE ${condition}
       RETURNING id, expires_at + make_interval(secs => ?) AS expires_at
     ), revoked AS (
       ${revocationUpsert("SELECT 'jti', id, expires_at FROM ended WHERE expires_at > now()")}
     )
     SELECT id, expires_at FROM ended WHERE expires_at > now()`,
    [...values, REVOCATION_MARGIN_SECONDS],
  );
  return rows.map(({ id, expires_at }) => ({
    kind: 'jti',
    id,
    expiresAtSeconds: Math.ceil(expires_at.getTime() / 1000),
  }));
}

/** Deletes a batch of tokens that have expired for every verifier, and returns how many. */
export function purgeServiceTokens(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'service_tokens', keptSeconds: REVOCATION_MARGIN_SECONDS }, limit);
}
