import type { Knex } from 'knex';

import { SERVER_EPOCH } from '../revocations/revocation-queries.ts';
import { type ApiKeyRow, rightsOf } from './api-key-queries.ts';
import type { ApiKeyRights } from '../../crypto/api-key-digests.ts';

/** A stored key with its owner, as of one read. */
export interface FedApiKey extends ApiKeyRights {
  readonly mac: Uint8Array;
  readonly revoked: boolean;
  readonly revocationId: string;
  readonly writtenBy: bigint;
  readonly subjectName: string | null;
  readonly externalId: string | null;
  readonly ownerRoles: readonly string[];
  /** False while the owner is disabled, or may not use the audience. */
  readonly ownerAllows: boolean;
}

export interface ApiKeyPage {
  readonly epoch: bigint;
  /** The oldest transaction that was still running (xid8). */
  readonly horizon: bigint;
  readonly keys: readonly FedApiKey[];
}

interface FeedRow extends Omit<ApiKeyRow, 'id'> {
  server_epoch: string;
  horizon: string;
  id: string | null;
  revoked: boolean;
  revocation_id: string;
  written_by: string;
  subject_name: string | null;
  external_id: string | null;
  owner_roles: string[];
  owner_allows: boolean;
}

/**
 * Reads one page of the keys that were written by transaction `since` or a later one, ordered by transaction, with what
 * their owners may do now. See `readRevocations` for why a reader misses nothing.
 *
 * @param page.after the last key of the previous page, or null for the first page
 * @param page.validOnly for the first read, which needs no keys that have ended
 */
export async function readApiKeys(
  db: Knex,
  page: {
    readonly since: bigint;
    readonly after: Pick<FedApiKey, 'writtenBy' | 'id'> | null;
    readonly limit: number;
    readonly validOnly: boolean;
  },
): Promise<ApiKeyPage> {
  const { since, after, limit, validOnly } = page;
  const { rows } = await db.raw<{ rows: FeedRow[] }>(
    `SELECT ${SERVER_EPOCH} AS server_epoch, horizon::text, page.*
     FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) AS moment
     LEFT JOIN LATERAL (
       SELECT k.id, k.user_id, k.account_id, k.digest, k.mac, k.roles, k.audience, k.allowed_networks::text[] AS networks,
         k.expires_at, k.created_at, k.revoked_at IS NOT NULL AS revoked, k.revocation_id, k.written_by::text,
         a.name AS subject_name, u.external_id, coalesce(u.roles, a.roles) AS owner_roles,
         u.disabled_at IS NULL AND coalesce(k.audience = ANY (a.allowed_audiences), true) AS owner_allows
       FROM api_keys k LEFT JOIN users u ON u.id = k.user_id LEFT JOIN service_accounts a ON a.id = k.account_id
       WHERE (k.written_by, k.id) > (?::xid8, ?::uuid)
         ${validOnly ? 'AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())' : ''}
       ORDER BY k.written_by, k.id LIMIT ?
     ) AS page ON true`,
    after
      ? [after.writtenBy.toString(), after.id, limit]
      : [(since > 0n ? since - 1n : 0n).toString(), 'ffffffff-ffff-ffff-ffff-ffffffffffff', limit],
  );
  return {
    epoch: BigInt(rows[0]?.server_epoch ?? '0'),
    horizon: BigInt(rows[0]?.horizon ?? '0'),
    keys: rows.flatMap((row) => (row.id === null ? [] : [fedKey({ ...row, id: row.id })])),
  };
}

function fedKey(row: FeedRow & { id: string }): FedApiKey {
  return {
    ...rightsOf(row),
    mac: row.mac,
    revoked: row.revoked,
    revocationId: row.revocation_id,
    writtenBy: BigInt(row.written_by),
    subjectName: row.subject_name,
    externalId: row.external_id,
    ownerRoles: row.owner_roles,
    ownerAllows: row.owner_allows,
  };
}

/** The last use of a key that an instance has seen. */
export interface ApiKeyUse {
  readonly id: string;
  readonly at: Date;
  /** Null when it is not known. */
  readonly address: string | null;
}

/**
 * Records uses. A use within a minute of the recorded one is left out, and so is a row that another transaction holds: the
 * next use is recorded again.
 */
export async function recordUses(db: Knex, uses: readonly ApiKeyUse[]): Promise<void> {
  await db.raw(
    `WITH used AS (
       SELECT * FROM unnest(:ids::uuid[], :times::timestamptz[], :addresses::text[]) AS u (id, at, address)
     ), free AS (
       SELECT k.id, used.at, used.address FROM api_keys k JOIN used ON used.id = k.id
       WHERE k.last_used_at IS NULL OR k.last_used_at < used.at - interval '1 minute'
       ORDER BY k.id FOR UPDATE OF k SKIP LOCKED
     )
     UPDATE api_keys k SET last_used_at = free.at, last_used_from = free.address::inet FROM free WHERE k.id = free.id`,
    {
      ids: uses.map(({ id }) => id),
      times: uses.map(({ at }) => at.toISOString()),
      addresses: uses.map(({ address }) => address),
    } as never,
  );
}

/** Reads every stored key, for a check of the whole table. */
export async function listStoredKeys(db: Knex): Promise<(ApiKeyRights & { readonly mac: Uint8Array })[]> {
  const { rows } = await db.raw<{ rows: ApiKeyRow[] }>(
    `SELECT id, user_id, account_id, digest, mac, roles, audience, allowed_networks::text[] AS networks, expires_at, created_at
     FROM api_keys WHERE revoked_at IS NULL ORDER BY id`,
  );
  return rows.map((row) => ({ ...rightsOf(row), mac: row.mac }));
}
