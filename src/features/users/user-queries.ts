import type { Knex } from 'knex';

import { EXTERNAL_ID_MEMBER_BYTES, LEVEL_CLAIMS_BYTES } from '../../domain/claims/token-room.ts';
import type { Email } from './email.ts';
import { rejectDuplicate } from '../../database/pg-errors.ts';

/** A person who can log in. */
export interface User {
  readonly id: string;
  readonly email: string;
  /** The id in another program. */
  readonly externalId: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Names one user. */
export type UserSelector =
  { readonly id: string } | { readonly email: Email } | { readonly externalId: string };

/** The columns that a login needs. */
export interface LoginRecord {
  readonly id: string;
  /** PHC string; null for a user without a password. */
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  readonly externalId: string | null;
}

/** A user that is imported with its password hash. */
export interface NewUserRow {
  readonly id: string;
  readonly email: Email;
  readonly externalId: string | null;
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
}

export interface UserRow {
  id: string;
  email: string;
  external_id: string | null;
  password_hash: string | null;
  roles: string[];
  disabled_at: Date | null;
  created_at: Date;
  updated_at: Date;
}

export type PublicRow = Omit<UserRow, 'password_hash'>;

export const PUBLIC_COLUMNS: (keyof PublicRow)[] = [
  'id',
  'email',
  'external_id',
  'roles',
  'disabled_at',
  'created_at',
  'updated_at',
];

/** Must equal the predicate of the partial index `users_other_hash_kind`, or the planner does not use the index. */
const OTHER_HASH = "password_hash NOT LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'";

/** The columns of a login. */
const LOGIN_COLUMNS = ['id', 'external_id', 'password_hash', 'roles', 'disabled_at'] as const;

const rejectTakenEmail = rejectDuplicate('users_email_key', { kind: 'email-taken' });
const rejectTakenExternalId = rejectDuplicate('users_external_id_key', { kind: 'external-id-taken' });
const rejectTakenId = rejectDuplicate('users_pkey', { kind: 'id-taken' });
/** Raised by a trigger of migration 0011. */
const rejectUsedId = rejectDuplicate('users_id_never_again', { kind: 'id-taken' });

/** @throws Rejected `email-taken`, `external-id-taken`; `id-taken` for an id that a user or service account has or had */
export async function insertUser(db: Knex, user: Omit<NewUserRow, 'disabled'>): Promise<User> {
  const [row] = await db<UserRow>('users')
    .insert({
      id: user.id,
      email: user.email,
      external_id: user.externalId,
      password_hash: user.passwordHash,
      roles: [...user.roles],
    })
    .returning(PUBLIC_COLUMNS)
    .catch(rejectTakenEmail)
    .catch(rejectTakenExternalId)
    .catch(rejectTakenId)
    .catch(rejectUsedId);
  return toUser(row as PublicRow);
}

/** With the e-mail, by which the throttle counts, and with which the password policy compares a new password. */
export async function findLoginRecordById(
  db: Knex,
  id: string,
): Promise<(LoginRecord & { readonly email: Email }) | null> {
  const row = await db<UserRow>('users')
    .where({ id })
    .first(...LOGIN_COLUMNS, 'email');
  return row ? { ...toLoginRecord(row), email: row.email as Email } : null;
}

/**
 * Locks the user's row until the transaction ends. Logins and changes of the user take the same lock and wait.
 *
 * @returns the row as it is once the lock is held; null when there is no such user
 */
export async function lockUser(trx: Knex.Transaction, id: string): Promise<LoginRecord | null> {
  const row = await trx<UserRow>('users')
    .where({ id })
    .forNoKeyUpdate()
    .first(...LOGIN_COLUMNS);
  return row ? toLoginRecord(row) : null;
}

/** As `lockUser`, with all columns but the password hash. */
export async function lockUserDetails(trx: Knex.Transaction, selector: UserSelector): Promise<User | null> {
  const row = await trx<UserRow>('users').where(whereOf(selector)).forNoKeyUpdate().first(PUBLIC_COLUMNS);
  return row ? toUser(row) : null;
}

export async function findUser(db: Knex, selector: UserSelector): Promise<User | null> {
  const row = await db<UserRow>('users').where(whereOf(selector)).first(PUBLIC_COLUMNS);
  return row ? toUser(row) : null;
}

function whereOf(selector: UserSelector): Partial<Pick<UserRow, 'id' | 'email' | 'external_id'>> {
  return 'externalId' in selector ? { external_id: selector.externalId } : selector;
}

/**
 * Lists the distinct kinds of stored hashes that differ from the kind of new ones. A kind is the text of a hash without
 * salt and digest, such as `$2b$12$`. Skips from kind to kind in a partial index, so it takes microseconds a kind
 * regardless of the number of users. At most 1000 kinds.
 */
export async function distinctHashKinds(db: Knex): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { kind: string }[] }>(`
    WITH RECURSIVE kinds AS (
      (SELECT postern_hash_kind(password_hash) AS kind FROM users WHERE ${OTHER_HASH} ORDER BY 1 LIMIT 1)
      UNION ALL
      SELECT (
        SELECT postern_hash_kind(password_hash) FROM users
        WHERE ${OTHER_HASH} AND postern_hash_kind(password_hash) > kinds.kind ORDER BY 1 LIMIT 1
      ) FROM kinds WHERE kinds.kind IS NOT NULL
    )
    SELECT kind FROM kinds WHERE kind IS NOT NULL LIMIT 1000`);
  return rows.map(({ kind }) => kind);
}

/** The caller holds the lock on the user's row. */
export async function setPasswordHash(db: Knex, id: string, passwordHash: string): Promise<void> {
  await db<UserRow>('users').where({ id }).update({ password_hash: passwordHash, updated_at: db.fn.now() });
}

/**
 * Writes all mutable fields of a user. The caller holds the lock on the row.
 *
 * @throws Rejected `email-taken` when another user has the e-mail
 */
export async function replaceUser(
  db: Knex,
  user: { id: string; email: Email; roles: readonly string[]; disabled: boolean },
): Promise<User> {
  const [row] = await db<UserRow>('users')
    .where({ id: user.id })
    .update({
      email: user.email,
      roles: [...user.roles],
      disabled_at: user.disabled ? db.raw<never>('coalesce(disabled_at, clock_timestamp())') : null,
      updated_at: db.raw<never>('clock_timestamp()'),
    })
    .returning(PUBLIC_COLUMNS)
    .catch(rejectTakenEmail);
  return toUser(row as PublicRow);
}

/** Deletes the user's sessions too (foreign key): end them first, so that their revocations stay. */
export async function deleteUserRow(db: Knex, id: string): Promise<void> {
  await db<UserRow>('users').where({ id }).delete();
}

/** Advisory lock that serialises all changes which remove an administrator. */
const ADMINISTRATORS_LOCK = 0x61646d69;

/**
 * Whether an enabled user other than `id` has the role. Takes a lock that every such change holds until its transaction
 * ends: of two administrators who demote each other concurrently, the second sees the change of the first (A05).
 */
export async function lockOthersWithRole(trx: Knex.Transaction, id: string, role: string): Promise<boolean> {
  await trx.raw('SET LOCAL lock_timeout = 1500');
  await trx.raw('SELECT pg_advisory_xact_lock(?)', [ADMINISTRATORS_LOCK]);
  // A separate statement, because its snapshot must be taken after the lock. Materialized, since
  // the planner takes a rare role for a common one (see `listUsers`) and would read all users for the first match.
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `WITH holders AS MATERIALIZED (SELECT id, disabled_at FROM users WHERE roles @> ARRAY[?::text])
     SELECT FROM holders WHERE id <> ?::uuid AND disabled_at IS NULL LIMIT 1`,
    [role, id],
  );
  return rows.length > 0;
}

/** Some users, and the first of them; null when there are none. */
export interface CountedUsers {
  readonly count: number;
  readonly firstId: string | null;
}

/**
 * Counts the users whose roles and external id together take more than `room` bytes of JSON in a token (`tokenRoomOf`), and those
 * whose do not but leave no room for the claims of a level.
 */
export async function countUsersBeyondTokenRoom(
  db: Knex,
  room: number,
): Promise<{ readonly withoutToken: CountedUsers; readonly withoutLevel: CountedUsers }> {
  const { rows } = await db.raw<{
    rows: { beyond: number; first_beyond: string | null; full: number; first_full: string | null }[];
  }>(
    `SELECT count(*) FILTER (WHERE bytes > :room::int)::int AS beyond,
            min(id::text) FILTER (WHERE bytes > :room::int) AS first_beyond,
            count(*) FILTER (WHERE bytes <= :room::int)::int AS full,
            min(id::text) FILTER (WHERE bytes <= :room::int) AS first_full
     FROM (SELECT id, octet_length(array_to_json(roles)::text)
                      + coalesce(octet_length(to_json(external_id)::text) + :member::int, 0) AS bytes FROM users) AS u
     WHERE bytes > :room::int - :level::int`,
    // The text of the external id has its two quotes, which are in the length of the member as well.
    { room, member: EXTERNAL_ID_MEMBER_BYTES - 2, level: LEVEL_CLAIMS_BYTES },
  );
  const [row] = rows;
  return {
    withoutToken: { count: row?.beyond ?? 0, firstId: row?.first_beyond ?? null },
    withoutLevel: { count: row?.full ?? 0, firstId: row?.first_full ?? null },
  };
}

export async function countUsers(db: Knex): Promise<number> {
  const [row] = await db<UserRow>('users').count({ count: '*' });
  return Number(row?.['count'] ?? 0);
}

function toLoginRecord(row: Pick<UserRow, (typeof LOGIN_COLUMNS)[number]>): LoginRecord {
  return {
    id: row.id,
    passwordHash: row.password_hash,
    roles: row.roles,
    disabled: row.disabled_at !== null,
    externalId: row.external_id,
  };
}

export function toUser(row: PublicRow): User {
  return {
    id: row.id,
    email: row.email,
    externalId: row.external_id,
    roles: row.roles,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
