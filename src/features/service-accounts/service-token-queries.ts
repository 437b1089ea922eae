import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { type AuditRecord, auditInsertFrom } from '../audit/audit-queries.ts';
import { REVOCATION_MARGIN_SECONDS, revocationUpsert } from '../revocations/revocation-queries.ts';

/**
 * Notes that a token is about to be given to an account, unless the account is gone or the secret that asked for it is
 * good no more. The share lock makes this wait for a deletion or rotation under way, and those for this: whoever comes
 * second sees what the first has done, so that no token escapes them.
 *
 * @param issue.secretDigest of the secret that the caller showed
 * @returns the account's roles at that moment, and how many tokens it holds (counted up to one above `countUpTo`); null
 *   when the secret is good no more
 */
export async function recordServiceToken(
  db: Knex,
  issue: {
    tokenId: string;
    accountId: string;
    secretDigest: Uint8Array;
    lifetimeSeconds: number;
    countUpTo: number;
  },
  audit: AuditRecord,
): Promise<{ roles: readonly string[]; held: number } | null> {
  const { tokenId, accountId, lifetimeSeconds, countUpTo } = issue;
  const digest = Buffer.from(issue.secretDigest);
  const audited = auditInsertFrom('account', audit);
  const { rows } = await db.raw<{ rows: { roles: string[]; held: number }[] }>(
    `WITH account AS (
       SELECT id, roles FROM service_accounts
       WHERE id = ? AND (secret_digest = ? OR (previous_digest = ? AND previous_until > clock_timestamp()))
       FOR SHARE
     ), issued AS (
       INSERT INTO service_tokens (id, account_id, expires_at)
       SELECT ?, id, clock_timestamp() + make_interval(secs => ?) FROM account
     ), audited AS (${audited.sql})
     SELECT roles, (SELECT count(*) FROM (SELECT 1 FROM service_tokens WHERE account_id = ? LIMIT ?) t)::int + 1 AS held
     FROM account`,
    [accountId, digest, digest, tokenId, lifetimeSeconds, ...audited.bindings, accountId, countUpTo],
  );
  return rows[0] ?? null;
}

/**
 * Revokes every token of an account that may still be good. Hold the lock on the account's row, so that none is issued
 * meanwhile.
 *
 * @returns the revocations
 */
export async function revokeServiceTokens(db: Knex, accountId: string): Promise<Revocation[]> {
  return revokeWhere(db, 'account_id = ?', [accountId]);
}

/** Revokes the oldest tokens of an account beyond the newest `limit`; those that another call is revoking are left to it. */
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

/** Forgets a batch of tokens that have expired everywhere and returns how many. */
export function purgeServiceTokens(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'service_tokens', keptSeconds: REVOCATION_MARGIN_SECONDS }, limit);
}
