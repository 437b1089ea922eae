import type { Knex } from 'knex';

import { rejectDuplicate } from '../../database/pg-errors.ts';

/** An account of a program. */
export interface ServiceAccount {
  readonly id: string;
  readonly name: string;
  readonly roles: readonly string[];
  /** The audiences that it may ask for; null for every one. */
  readonly allowedAudiences: readonly string[] | null;
  /** The audiences that it serves. */
  readonly ownAudiences: readonly string[];
  /** The audiences towards which it may act for somebody else. */
  readonly delegationAudiences: readonly string[];
  readonly createdAt: Date;
  /** When the current secret was created. */
  readonly secretCreatedAt: Date;
  /** Until when the previous secret is valid too; null when it is not valid. */
  readonly previousSecretUntil: Date | null;
}

/** What an account may do. */
export type AccountRights = Pick<
  ServiceAccount,
  'roles' | 'allowedAudiences' | 'ownAudiences' | 'delegationAudiences'
>;

/** A reference to an account by id or by name. */
export type ServiceRef = { readonly id: string } | { readonly name: string };

interface ServiceAccountRow {
  id: string;
  name: string;
  roles: string[];
  allowed_audiences: string[] | null;
  own_audiences: string[];
  delegation_audiences: string[];
  secret_digest: Buffer;
  secret_created_at: Date;
  previous_digest: Buffer | null;
  previous_until: Date | null;
  created_at: Date;
}

type PublicRow = Omit<ServiceAccountRow, 'secret_digest' | 'previous_digest'>;

/** The digests are left out: a list of accounts must not reveal anything about a secret (A06). */
const PUBLIC_COLUMNS =
  'id, name, roles, allowed_audiences, own_audiences, delegation_audiences, secret_created_at, created_at';
const PREVIOUS_UNTIL = 'CASE WHEN previous_until > now() THEN previous_until END AS previous_until';

/** Inserts an account. @throws Rejected `name-taken` when another account has the name */
export async function insertServiceAccount(
  db: Knex,
  account: AccountRights & { id: string; name: string; secretDigest: Uint8Array },
): Promise<ServiceAccount> {
  const { id, name, roles, allowedAudiences, ownAudiences, delegationAudiences, secretDigest } = account;
  const [row] = await db<ServiceAccountRow>('service_accounts')
    .insert({
      id,
      name,
      roles: [...roles],
      allowed_audiences: allowedAudiences && [...allowedAudiences],
      own_audiences: [...ownAudiences],
      delegation_audiences: [...delegationAudiences],
      secret_digest: Buffer.from(secretDigest),
    })
    .returning([
      'id',
      'name',
      'roles',
      'allowed_audiences',
      'own_audiences',
      'delegation_audiences',
      'secret_created_at',
      'previous_until',
      'created_at',
    ])
    .catch(rejectDuplicate('service_accounts_name_key', { kind: 'name-taken', of: 'service account' }));
  return toServiceAccount(row as PublicRow);
}

/** Replaces what an account may do. The caller must hold the lock on its row. */
export async function replaceAccountRights(
  db: Knex,
  { id, roles, allowedAudiences, ownAudiences, delegationAudiences }: AccountRights & { readonly id: string },
): Promise<void> {
  await db<ServiceAccountRow>('service_accounts')
    .where({ id })
    .update({
      roles: [...roles],
      allowed_audiences: allowedAudiences && [...allowedAudiences],
      own_audiences: [...ownAudiences],
      delegation_audiences: [...delegationAudiences],
    });
}

/** Whether a digest, bound twice, is that of a secret of the account in this row that is valid now. */
export const IS_VALID_SECRET =
  '(secret_digest = ? OR (previous_digest = ? AND previous_until > clock_timestamp()))';

/** Whether a digest is that of a secret of the account that is valid now; null when there is no such account. */
export async function isSecretOf(db: Knex, id: string, digest: Uint8Array | null): Promise<boolean | null> {
  const bytes = digest && Buffer.from(digest);
  const { rows } = await db.raw<{ rows: { is_valid: boolean }[] }>(
    `SELECT coalesce(${IS_VALID_SECRET}, false) AS is_valid
     FROM service_accounts WHERE id = ?`,
    [bytes, bytes, id],
  );
  return rows[0]?.is_valid ?? null;
}

/** The id of an account; null when it does not exist. */
export async function findServiceId(db: Knex, ref: ServiceRef): Promise<string | null> {
  const row = await db<ServiceAccountRow>('service_accounts').where(ref).first('id');
  return row?.id ?? null;
}

/** Reads the current roles of an account; null when it does not exist. */
export async function findServiceRoles(db: Knex, id: string): Promise<readonly string[] | null> {
  const row = await db<ServiceAccountRow>('service_accounts').where({ id }).first('roles');
  return row?.roles ?? null;
}

/**
 * Locks an account: until the transaction ends, no token is issued to it and nothing else changes it.
 *
 * @returns the account as of the moment when the lock was granted, or null when it does not exist
 */
export async function lockServiceAccount(
  trx: Knex.Transaction,
  ref: ServiceRef,
): Promise<ServiceAccount | null> {
  const [column, value] = 'id' in ref ? ['id', ref.id] : ['name', ref.name];
  const { rows } = await trx.raw<{ rows: PublicRow[] }>(
    `SELECT ${PUBLIC_COLUMNS}, ${PREVIOUS_UNTIL} FROM service_accounts WHERE ${column} = ? FOR UPDATE`,
    [value],
  );
  return rows[0] ? toServiceAccount(rows[0]) : null;
}

/**
 * Replaces the secret of an account. The current secret stays valid for `overlapSeconds`; the one before it becomes
 * invalid.
 *
 * @returns the changed account, or null when it does not exist
 */
export async function replaceServiceSecret(
  db: Knex,
  change: { id: string; secretDigest: Uint8Array; overlapSeconds: number },
): Promise<ServiceAccount | null> {
  const { id, secretDigest, overlapSeconds } = change;
  const { rows } = await db.raw<{ rows: PublicRow[] }>(
    `UPDATE service_accounts SET
       previous_digest = CASE WHEN ? > 0 THEN secret_digest END,
       previous_until = CASE WHEN ? > 0 THEN clock_timestamp() + make_interval(secs => ?) END,
       secret_digest = ?, secret_created_at = clock_timestamp()
     WHERE id = ? RETURNING ${PUBLIC_COLUMNS}, ${PREVIOUS_UNTIL}`,
    [overlapSeconds, overlapSeconds, overlapSeconds, Buffer.from(secretDigest), id],
  );
  return rows[0] ? toServiceAccount(rows[0]) : null;
}

export async function deleteServiceAccountRow(db: Knex, id: string): Promise<void> {
  await db<ServiceAccountRow>('service_accounts').where({ id }).delete();
}

/** Reads one page of accounts, ordered by id, which is the order of creation. */
export async function listServiceAccountRows(
  db: Knex,
  page: { afterId: string | null; limit: number },
): Promise<ServiceAccount[]> {
  const { rows } = await db.raw<{ rows: PublicRow[] }>(
    `SELECT ${PUBLIC_COLUMNS}, ${PREVIOUS_UNTIL} FROM service_accounts
     WHERE id > coalesce(?::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT ?`,
    [page.afterId, page.limit],
  );
  return rows.map(toServiceAccount);
}

/**
 * How many accounts have roles and a name that together take more than `room` bytes of JSON in a token
 * (`serviceTokenRoomOf`), and the first of them.
 */
export async function countNamesBeyondTokenRoom(
  db: Knex,
  room: number,
): Promise<{ readonly count: number; readonly firstId: string | null }> {
  const { rows } = await db.raw<{ rows: { count: number; first_id: string | null }[] }>(
    `SELECT count(*)::int AS count, min(id::text) AS first_id FROM service_accounts
     WHERE octet_length(name) + octet_length(array_to_json(roles)::text) > ?::int`,
    [room],
  );
  return { count: rows[0]?.count ?? 0, firstId: rows[0]?.first_id ?? null };
}

function toServiceAccount(row: PublicRow): ServiceAccount {
  return {
    id: row.id,
    name: row.name,
    roles: row.roles,
    allowedAudiences: row.allowed_audiences,
    ownAudiences: row.own_audiences,
    delegationAudiences: row.delegation_audiences,
    createdAt: row.created_at,
    secretCreatedAt: row.secret_created_at,
    previousSecretUntil: row.previous_until,
  };
}
