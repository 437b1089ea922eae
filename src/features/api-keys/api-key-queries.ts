import type { Knex } from 'knex';

import type { Revocation, RevocationKind } from '../../domain/revocation-set.ts';
import type { ApiKeyRights } from '../../crypto/api-key-digests.ts';
import { rejectDuplicate } from '../../database/pg-errors.ts';
import { type ApiKey, type ApiKeyOwner, canonicalNetworks } from './api-key.ts';

export interface ApiKeyRow {
  id: string;
  user_id: string | null;
  account_id: string | null;
  name: string;
  digest: Buffer;
  mac: Buffer;
  roles: string[];
  audience: string;
  networks: string[];
  expires_at: Date | null;
  created_at: Date;
  last_used_at: Date | null;
  last_used_from: string | null;
  rotated_from: string | null;
}

const COLUMNS = `id, user_id, account_id, name, digest, mac, roles, audience, allowed_networks::text[] AS networks,
  expires_at, created_at, last_used_at, host(last_used_from) AS last_used_from, rotated_from`;

/** Fulfilled by a key that is accepted. */
const IS_VALID = 'revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())';

/** Serializes the creation of keys, so that the limit of all keys holds. */
const CREATION_LOCK = 0x61706b65;

/** What an owner may give to a key. */
export interface OwnerRights {
  readonly roles: readonly string[];
  readonly disabled: boolean;
  /** Null for every audience. */
  readonly allowedAudiences: readonly string[] | null;
  /** The database's clock. */
  readonly now: Date;
}

/** Locks an owner until the transaction ends, so that its keys are counted right. @returns null when there is none */
export async function lockOwner(
  trx: Knex.Transaction,
  { type, id }: ApiKeyOwner,
): Promise<OwnerRights | null> {
  const { rows } = await trx.raw<{
    rows: { roles: string[]; disabled: boolean; allowed_audiences: string[] | null; now: Date }[];
  }>(
    type === 'user'
      ? `SELECT roles, disabled_at IS NOT NULL AS disabled, NULL::text[] AS allowed_audiences, clock_timestamp() AS now
         FROM users WHERE id = ? FOR NO KEY UPDATE`
      : `SELECT roles, false AS disabled, allowed_audiences, clock_timestamp() AS now
         FROM service_accounts WHERE id = ? FOR NO KEY UPDATE`,
    [id],
  );
  const [row] = rows;
  return row
    ? { roles: row.roles, disabled: row.disabled, allowedAudiences: row.allowed_audiences, now: row.now }
    : null;
}

/** The caller holds the lock on the owner. Keys that have expired free their names. */
export async function countKeysOf(
  trx: Knex.Transaction,
  owner: ApiKeyOwner,
): Promise<{ readonly valid: number; readonly all: number }> {
  const column = ownerColumn(owner);
  await trx.raw(
    `UPDATE api_keys SET revoked_at = expires_at WHERE ${column} = ? AND revoked_at IS NULL
     AND expires_at <= clock_timestamp()`,
    [owner.id],
  );
  const { rows } = await trx.raw<{ rows: { valid: number; all: number }[] }>(
    `SELECT count(*) FILTER (WHERE revoked_at IS NULL)::int AS valid, count(*)::int AS all FROM api_keys WHERE ${column} = ?`,
    [owner.id],
  );
  return rows[0] ?? { valid: 0, all: 0 };
}

/** Counts the keys of everybody. No other key is created until the transaction ends. */
export async function countAllKeys(trx: Knex.Transaction): Promise<number> {
  await trx.raw('SELECT pg_advisory_xact_lock(?)', [CREATION_LOCK]);
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    'SELECT count(*)::int AS count FROM api_keys WHERE revoked_at IS NULL',
  );
  return rows[0]?.count ?? 0;
}

/** @throws Rejected `name-taken` when the owner has another key with the name */
export async function insertApiKey(
  db: Knex,
  key: ApiKeyRights & {
    readonly name: string;
    readonly mac: Uint8Array;
    readonly rotatedFrom: string | null;
  },
): Promise<ApiKey> {
  const taken = { kind: 'name-taken', of: 'API key of the owner' } as const;
  const inserted = db.raw<{ rows: ApiKeyRow[] }>(
    `INSERT INTO api_keys (id, user_id, account_id, name, digest, mac, roles, audience, allowed_networks, expires_at,
       created_at, rotated_from)
     VALUES (:id, :userId, :accountId, :name, :digest, :mac, :roles, :audience, :networks::text[]::cidr[], :expiresAt,
       :createdAt, :rotatedFrom)
     RETURNING ${COLUMNS}`,
    {
      id: key.id,
      userId: key.ownerType === 'user' ? key.ownerId : null,
      accountId: key.ownerType === 'service' ? key.ownerId : null,
      name: key.name,
      digest: Buffer.from(key.digest),
      mac: Buffer.from(key.mac),
      roles: [...key.roles],
      audience: key.audience,
      networks: [...key.networks],
      expiresAt: key.expiresAt,
      createdAt: key.createdAt,
      rotatedFrom: key.rotatedFrom,
    } as never,
  );
  const { rows } = await Promise.resolve(inserted)
    .catch(rejectDuplicate('api_keys_user_name_key', taken))
    .catch(rejectDuplicate('api_keys_account_name_key', taken));
  return toApiKey(rows[0] as ApiKeyRow);
}

/** Reads one page of valid keys, ordered by id, which is the order of creation. @param owner null for everybody's */
export async function listApiKeyRows(
  db: Knex,
  owner: ApiKeyOwner | null,
  page: { readonly afterId: string | null; readonly limit: number },
): Promise<ApiKey[]> {
  const { rows } = await db.raw<{ rows: ApiKeyRow[] }>(
    `SELECT ${COLUMNS} FROM api_keys
     WHERE id > coalesce(?::uuid, '00000000-0000-0000-0000-000000000000') AND ${IS_VALID}
       ${owner === null ? '' : `AND ${ownerColumn(owner)} = ?`}
     ORDER BY id LIMIT ?`,
    owner === null ? [page.afterId, page.limit] : [page.afterId, owner.id, page.limit],
  );
  return rows.map(toApiKey);
}

/** A key that exists, valid or not, and its owner. */
export async function findOwnerOfKey(db: Knex, id: string): Promise<ApiKeyOwner | null> {
  const row = await db<ApiKeyRow>('api_keys').where({ id }).first('user_id', 'account_id');
  return row ? ownerOf(row) : null;
}

/** The key with this digest, valid or not. */
export async function findKeyByDigest(
  db: Knex,
  digest: Uint8Array,
): Promise<{ readonly id: string; readonly owner: ApiKeyOwner } | null> {
  const row = await db<ApiKeyRow>('api_keys')
    .where({ digest: Buffer.from(digest) })
    .first('id', 'user_id', 'account_id');
  return row ? { id: row.id, owner: ownerOf(row) } : null;
}

/** What a rotation replaces: the key, the lifetime that it was given, and the digest that its MAC covers. */
export interface RotatableKey {
  readonly key: ApiKey;
  readonly digest: Uint8Array;
  readonly mac: Uint8Array;
}

/** Locks a valid key that was not replaced yet. @returns null when there is no such key */
export async function lockRotatableKey(trx: Knex.Transaction, id: string): Promise<RotatableKey | null> {
  const { rows } = await trx.raw<{ rows: ApiKeyRow[] }>(
    `SELECT ${COLUMNS} FROM api_keys WHERE id = ? AND ${IS_VALID} AND replaced_at IS NULL FOR UPDATE`,
    [id],
  );
  const [row] = rows;
  return row ? { key: toApiKey(row), digest: row.digest, mac: row.mac } : null;
}

/**
 * Lets a key end at `expiresAt`, because another one replaces it. What verifiers know of it is revoked, and so are tokens
 * that would outlive it.
 */
export async function markReplaced(
  trx: Knex.Transaction,
  replaced: { readonly id: string; readonly expiresAt: Date; readonly mac: Uint8Array },
): Promise<Revocation[]> {
  await trx.raw('UPDATE api_keys SET replaced_at = clock_timestamp(), expires_at = ?, mac = ? WHERE id = ?', [
    replaced.expiresAt,
    Buffer.from(replaced.mac),
    replaced.id,
  ]);
  return revocationsBy(trx, 'postern_renew_api_keys_1(?::uuid[], ?)', [[replaced.id], replaced.expiresAt]);
}

/** Which keys to revoke: one, all of an owner, or all. */
export type KeysToRevoke = 'all' | { readonly id: string } | ApiKeyOwner;

/**
 * Revokes valid keys and the tokens that they were exchanged for.
 *
 * @returns the ids of the keys that were valid, and the revocations for every verifier
 */
export async function revokeApiKeyRows(
  trx: Knex.Transaction,
  selector: KeysToRevoke,
): Promise<{ readonly ids: readonly string[]; readonly revocations: Revocation[] }> {
  const [condition, values] =
    selector === 'all'
      ? ['true', []]
      : 'type' in selector
        ? [`${ownerColumn(selector)} = ?`, [selector.id]]
        : ['id = ?', [selector.id]];
  // The rows stay locked: an exchange that has recorded its token before is seen by the next statement.
  const { rows } = await trx.raw<{ rows: { id: string }[] }>(
    `UPDATE api_keys SET revoked_at = clock_timestamp(), written_by = pg_current_xact_id()
     WHERE ${condition} AND revoked_at IS NULL RETURNING id`,
    values,
  );
  const ids = rows.map(({ id }) => id);
  if (ids.length === 0) return { ids, revocations: [] };
  return { ids, revocations: await revocationsBy(trx, 'postern_end_api_keys_1(?::uuid[])', [ids]) };
}

async function revocationsBy(trx: Knex, functionCall: string, values: unknown[]): Promise<Revocation[]> {
  const { rows } = await trx.raw<{ rows: { kind: RevocationKind; id: string; expires_at: Date }[] }>(
    `SELECT kind, id, expires_at FROM ${functionCall}`,
    values as never,
  );
  return rows.map(({ kind, id, expires_at }) => ({
    kind,
    id,
    expiresAtSeconds: Math.ceil(expires_at.getTime() / 1000),
  }));
}

/** How long a key stays on record after it was revoked or has expired, so that revoking it again finds it. */
const KEPT = "interval '1 day'";

/** Deletes a batch of keys that ended a day ago, and returns how many. */
export async function purgeApiKeys(db: Knex, limit: number): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    `DELETE FROM api_keys WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM api_keys WHERE revoked_at < now() - ${KEPT} OR expires_at < now() - ${KEPT} LIMIT ?
       FOR UPDATE SKIP LOCKED))`,
    [limit],
  );
  return rowCount;
}

export function ownerOf(row: Pick<ApiKeyRow, 'user_id' | 'account_id'>): ApiKeyOwner {
  return row.user_id === null
    ? { type: 'service', id: String(row.account_id) }
    : { type: 'user', id: row.user_id };
}

function ownerColumn({ type }: ApiKeyOwner): string {
  return type === 'user' ? 'user_id' : 'account_id';
}

function toApiKey(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    owner: ownerOf(row),
    name: row.name,
    roles: row.roles,
    audience: row.audience,
    networks: row.networks,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    lastUsedFrom: row.last_used_from,
    rotatedFrom: row.rotated_from,
  };
}

/** What the MAC of a stored key covers. */
export function rightsOf(
  row: Omit<ApiKeyRow, 'name' | 'mac' | 'last_used_at' | 'last_used_from' | 'rotated_from'>,
): ApiKeyRights {
  const { type, id } = ownerOf(row);
  return {
    id: row.id,
    ownerType: type,
    ownerId: id,
    digest: row.digest,
    roles: row.roles,
    audience: row.audience,
    networks: canonicalNetworks(row.networks),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}
