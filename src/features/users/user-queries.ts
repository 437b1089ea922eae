import type { Knex } from 'knex';

import type { Email } from './email.ts';
import { rejectDuplicate } from '../../database/pg-errors.ts';

/** A person who can log in. */
export interface User {
  readonly id: string;
  readonly email: string;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The columns that a login needs. */
export interface LoginRecord {
  readonly id: string;
  /** PHC string; null for a user without a password. */
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
}

/** A user that is imported with its password hash. */
export interface NewUserRow {
  readonly id: string;
  readonly email: Email;
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
}

interface UserRow {
  id: string;
  email: string;
  password_hash: string | null;
  roles: string[];
  disabled_at: Date | null;
  created_at: Date;
  updated_at: Date;
}

type PublicRow = Omit<UserRow, 'password_hash'>;

const PUBLIC_COLUMNS: (keyof PublicRow)[] = [
  'id',
  'email',
  'roles',
  'disabled_at',
  'created_at',
  'updated_at',
];

/** Must equal the predicate of the partial index `users_other_hash_kind`, or the planner does not use the index. */
const OTHER_HASH = "password_hash NOT LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'";

const rejectTakenEmail = rejectDuplicate('users_email_key', { kind: 'email-taken' });

/** @throws Rejected `email-taken` when another user has the e-mail */
export async function insertUser(
  db: Knex,
  user: { id: string; email: Email; passwordHash: string | null; roles: readonly string[] },
): Promise<User> {
  const [row] = await db<UserRow>('users')
    .insert({ id: user.id, email: user.email, password_hash: user.passwordHash, roles: [...user.roles] })
    .returning(PUBLIC_COLUMNS)
    .catch(rejectTakenEmail);
  return toUser(row as PublicRow);
}

/**
 * Inserts the users whose e-mail is not taken. The e-mails of `users` must be distinct. Rows are inserted in the order of
 * their e-mails, so that concurrent statements do not deadlock.
 *
 * @returns the e-mails of the users that were inserted
 */
export async function insertNewUsers(db: Knex, users: readonly NewUserRow[]): Promise<Set<string>> {
  const sorted = [...users].sort((a, b) => (a.email < b.email ? -1 : 1));
  const records = sorted.map(({ id, email, passwordHash, roles, disabled }) => ({
    id,
    email,
    password_hash: passwordHash,
    roles,
    disabled,
  }));
  const { rows } = await db.raw<{ rows: { email: string }[] }>(
    `INSERT INTO users (id, email, password_hash, roles, disabled_at)
     SELECT id, email, password_hash, roles, CASE WHEN disabled THEN now() END
     FROM jsonb_to_recordset(?::jsonb)
       AS record (id uuid, email text, password_hash text, roles text[], disabled boolean)
     ON CONFLICT (email) DO NOTHING RETURNING email`,
    [JSON.stringify(records)],
  );
  return new Set(rows.map(({ email }) => email));
}

/** Returns those of the e-mails that belong to a user. */
export async function findTakenEmails(db: Knex, emails: readonly Email[]): Promise<Set<string>> {
  const { rows } = await db.raw<{ rows: { email: string }[] }>(
    'SELECT email FROM users WHERE email = ANY (?::text[])',
    [[...emails]],
  );
  return new Set(rows.map(({ email }) => email));
}

export async function findLoginRecord(db: Knex, email: Email): Promise<LoginRecord | null> {
  const row = await db<UserRow>('users')
    .where({ email })
    .first('id', 'password_hash', 'roles', 'disabled_at');
  return row ? toLoginRecord(row) : null;
}

/** As `findLoginRecord`, by id. With the e-mail, because the password policy compares a new password with it. */
export async function findLoginRecordById(
  db: Knex,
  id: string,
): Promise<(LoginRecord & { readonly email: Email }) | null> {
  const row = await db<UserRow>('users')
    .where({ id })
    .first('id', 'email', 'password_hash', 'roles', 'disabled_at');
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
    .first('id', 'password_hash', 'roles', 'disabled_at');
  return row ? toLoginRecord(row) : null;
}

/** As `lockUser`, with all columns but the password hash. */
export async function lockUserDetails(
  trx: Knex.Transaction,
  ref: { readonly id: string } | { readonly email: Email },
): Promise<User | null> {
  const row = await trx<UserRow>('users').where(ref).forNoKeyUpdate().first(PUBLIC_COLUMNS);
  return row ? toUser(row) : null;
}

export async function findUserByEmail(db: Knex, email: Email): Promise<User | null> {
  const row = await db<UserRow>('users').where({ email }).first(PUBLIC_COLUMNS);
  return row ? toUser(row) : null;
}

export async function findUserById(db: Knex, id: string): Promise<User | null> {
  const row = await db<UserRow>('users').where({ id }).first(PUBLIC_COLUMNS);
  return row ? toUser(row) : null;
}

/** Replaces the hash `from` by a new one of the password that matched it, unless another hash is stored by now. */
export async function upgradePasswordHash(
  db: Knex,
  change: { id: string; from: string; to: string },
): Promise<void> {
  await db<UserRow>('users')
    .where({ id: change.id, password_hash: change.from })
    .update({ password_hash: change.to });
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

/** Filters that are combined with AND; null matches every user. */
export interface UserFilter {
  readonly email: Email | null;
  /** Prefix of the canonical e-mail. */
  readonly emailPrefix: string | null;
  readonly role: string | null;
  readonly disabled: boolean | null;
}

/** One page of users in the order of their ids (UUIDv7), which is the order of creation. */
export async function listUsers(
  db: Knex,
  page: { afterId: string | null; limit: number },
  filter?: UserFilter,
): Promise<User[]> {
  const query = db<UserRow>('users').select(PUBLIC_COLUMNS).orderBy('id').limit(page.limit);
  if (page.afterId !== null) void query.where('id', '>', page.afterId);
  if (filter) {
    const { email, emailPrefix, role, disabled } = filter;
    if (email !== null) void query.where({ email });
    if (emailPrefix !== null) void query.whereRaw('starts_with(email, ?)', [emailPrefix]);
    if (role !== null) void query.whereRaw('roles @> ARRAY[?::text]', [role]);
    if (disabled !== null) void query.whereRaw(`disabled_at IS ${disabled ? 'NOT NULL' : 'NULL'}`);
  }
  return (await query).map(toUser);
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
  // A separate statement, because its snapshot must be taken after the lock.
  const other = await trx<UserRow>('users')
    .whereNot({ id })
    .whereNull('disabled_at')
    .whereRaw('roles @> ARRAY[?::text]', [role])
    .first('id');
  return other !== undefined;
}

export async function countUsers(db: Knex): Promise<number> {
  const [row] = await db<UserRow>('users').count({ count: '*' });
  return Number(row?.['count'] ?? 0);
}

function toLoginRecord(row: Pick<UserRow, 'id' | 'password_hash' | 'roles' | 'disabled_at'>): LoginRecord {
  return {
    id: row.id,
    passwordHash: row.password_hash,
    roles: row.roles,
    disabled: row.disabled_at !== null,
  };
}

function toUser(row: PublicRow): User {
  return {
    id: row.id,
    email: row.email,
    roles: row.roles,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
