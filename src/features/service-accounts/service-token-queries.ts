import type { Knex } from 'knex';

import { purgeBatch } from '../../database/purge-batch.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { type AuditRecord, auditInsertFrom } from '../audit/audit-queries.ts';
import { REVOCATION_MARGIN_SECONDS, revocationUpsert } from '../revocations/revocation-queries.ts';
import { IS_VALID_SECRET } from './service-account-queries.ts';
import { type UsedOnce, usedOnceInsertFrom } from '../used-once/used-once-queries.ts';

/** What the caller has shown: a secret, or an assertion that one of the account's keys has signed. */
export type ServiceProof =
  | {
      /**
       * Not compared with the stored one yet; null for a secret that no account accepts. It is keyed, so the time of its
       * comparison reveals nothing about the stored one.
       */
      readonly secretDigest: Uint8Array | null;
    }
  | { readonly kid: string; readonly assertion: UsedOnce };

/** Whether a token was recorded; otherwise what was wrong, which only the log tells apart. */
export type RecordedToken =
  | {
      readonly outcome: 'recorded';
      /** The account's current roles. */
      readonly roles: readonly string[];
      /** The account's name. */
      readonly name: string;
      /** How many live tokens it has, counted up to one above `countUpTo`. */
      readonly held: number;
    }
  | { readonly outcome: 'unknown-service' | 'not-valid' | 'replayed' | 'audience-not-allowed' };

/**
 * Records a token that is about to be issued, unless the account was deleted, the caller's secret or key is no longer
 * valid, the account may not ask for the audience, or the assertion was used before. The share locks serialize this with a
 * change or deletion of the account, a deletion of the key and a rotation of the secret: the later one sees what the
 * earlier one has written, so that every token is found and revoked. The assertion is marked as used in the same statement, so that one whose token was not recorded can be sent
 * again.
 */
export async function recordServiceToken(
  db: Knex,
  issue: {
    tokenId: string;
    accountId: string;
    audience: string;
    proof: ServiceProof;
    lifetimeSeconds: number;
    countUpTo: number;
  },
  audit: AuditRecord,
): Promise<RecordedToken> {
  const { tokenId, accountId, lifetimeSeconds, countUpTo } = issue;
  const proven = 'kid' in issue.proof ? provenByKey(issue, issue.proof) : provenBySecret(issue, issue.proof);
  const audited = auditInsertFrom('account', audit);
  const { rows } = await db.raw<{
    rows: {
      roles: string[] | null;
      is_allowed: boolean | null;
      name: string;
      is_fresh: boolean;
      held: number;
    }[];
  }>(
    `WITH known AS (SELECT name FROM service_accounts WHERE id = ?), ${proven.sql}, issued AS (
       INSERT INTO service_tokens (id, account_id, key_id, expires_at)
       SELECT ?, id, kid, clock_timestamp() + make_interval(secs => ?) FROM account
     ), audited AS (${audited.sql})
     SELECT roles, is_allowed, name, EXISTS (SELECT FROM account) AS is_fresh,
       CASE WHEN roles IS NULL THEN 0 ELSE
         (SELECT count(*) FROM (SELECT 1 FROM service_tokens WHERE account_id = ? LIMIT ?) t)::int + 1 END AS held
     FROM known LEFT JOIN proven ON true`,
    [accountId, ...proven.bindings, tokenId, lifetimeSeconds, ...audited.bindings, accountId, countUpTo],
  );
  const [row] = rows;
  if (!row) return { outcome: 'unknown-service' };
  if (row.roles === null) return { outcome: 'not-valid' };
  if (row.is_allowed !== true) return { outcome: 'audience-not-allowed' };
  return row.is_fresh
    ? { outcome: 'recorded', roles: row.roles, name: row.name, held: row.held }
    : { outcome: 'replayed' };
}

type Bindings = (string | number | Buffer | null)[];

/** Whether the account `a` may ask for the audience that is bound. */
const IS_ALLOWED = '(a.allowed_audiences IS NULL OR ? = ANY (a.allowed_audiences)) AS is_allowed';

/** The queries `proven` (the account that the caller is) and `account` (the same, if it may get this token now). */
function provenBySecret(
  { accountId, audience }: { accountId: string; audience: string },
  { secretDigest }: { secretDigest: Uint8Array | null },
): { sql: string; bindings: Bindings } {
  const digest = secretDigest && Buffer.from(secretDigest);
  return {
    sql: `proven AS (
       SELECT id, roles, NULL::text AS kid, ${IS_ALLOWED} FROM service_accounts a
       WHERE id = ? AND ${IS_VALID_SECRET}
       FOR SHARE
     ), account AS (SELECT * FROM proven WHERE is_allowed)`,
    bindings: [audience, accountId, digest, digest],
  };
}

/** Both rows are locked: the deletion of a key changes no row of the account, so its lock alone would not see it. */
function provenByKey(
  { accountId, audience }: { accountId: string; audience: string },
  { kid, assertion }: { kid: string; assertion: UsedOnce },
): { sql: string; bindings: Bindings } {
  const used = usedOnceInsertFrom('allowed', assertion);
  return {
    sql: `proven AS (
       SELECT a.id, a.roles, k.kid, ${IS_ALLOWED} FROM service_accounts a JOIN service_keys k ON k.account_id = a.id
       WHERE a.id = ? AND k.kid = ? FOR SHARE OF a, k
     ), allowed AS (SELECT * FROM proven WHERE is_allowed), used AS (${used.sql}),
     account AS (SELECT allowed.* FROM allowed, used)`,
    bindings: [audience, accountId, kid, ...used.bindings],
  };
}

/**
 * Revokes every token of an account that may still be valid. The caller must hold the lock on the account's row, so
 * that no token is issued meanwhile.
 *
 * @param kid only the tokens that were issued for assertions of this key
 */
export async function revokeServiceTokens(db: Knex, accountId: string, kid?: string): Promise<Revocation[]> {
  if (kid === undefined) return revokeTokensWhere(db, 'account_id = ?', [accountId]);
  return revokeTokensWhere(db, 'account_id = ? AND key_id = ?', [accountId, kid]);
}

/** Revokes the tokens in which an account acts for somebody, whose row the caller must have locked. */
export function revokeTokensOfActor(db: Knex, accountId: string): Promise<Revocation[]> {
  return revokeTokensWhere(db, 'actor_ids @> ARRAY[?::uuid]', [accountId]);
}

/** Revokes all but the newest `limit` tokens of an account. Skips tokens that a concurrent call is revoking. */
export async function revokeOldestServiceTokens(
  db: Knex,
  accountId: string,
  limit: number,
): Promise<Revocation[]> {
  return revokeTokensWhere(
    db,
    `id IN (SELECT id FROM service_tokens WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM service_tokens WHERE account_id = ? ORDER BY expires_at DESC OFFSET ?))
       FOR UPDATE SKIP LOCKED)`,
    [accountId, limit],
  );
}

/** Revokes the recorded tokens that fulfil a condition. `values` are bound in its place. */
export async function revokeTokensWhere(
  db: Knex,
  condition: string,
  values: readonly (string | number | readonly string[])[],
): Promise<Revocation[]> {
  const { rows } = await db.raw<{ rows: { id: string; expires_at: Date }[] }>(
    `WITH ended AS (
       DELETE FROM service_tokens WHERE ${condition}
       RETURNING id, expires_at + make_interval(secs => ?) AS expires_at
     ), revoked AS (
       ${revocationUpsert("SELECT 'jti', id, expires_at FROM ended WHERE expires_at > now()")}
     )
     SELECT id, expires_at FROM ended WHERE expires_at > now()`,
    [...values, REVOCATION_MARGIN_SECONDS] as never,
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
