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

/** What a login needs to know. */
export interface LoginRecord {
  readonly id: string;
  /** A PHC string, or null for a user without a password. */
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
}

/** A user whose row is made without a password in the clear. */
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

/** The condition of the index `users_other_hash_kind`, word for word. */
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
 * Inserts those users whose e-mail nobody has; the e-mails must differ. In the order of e-mails, so that two such
 * statements wait for each other without a deadlock.
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

/** Which of the e-mails belong to a user. */
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

/** The same by id, with the e-mail, which a new password must not be made of. */
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
 * Holds back every login of the user, and every other change that takes the same lock, until the transaction ends.
 *
 * @returns what the row says once the lock is held, or null when the user is gone
 */
export async function lockUser(trx: Knex.Transaction, id: string): Promise<LoginRecord | null> {
  const row = await trx<UserRow>('users')
    .where({ id })
    .forNoKeyUpdate()
    .first('id', 'password_hash', 'roles', 'disabled_at');
  return row ? toLoginRecord(row) : null;
}

/** As `lockUser`, with all that people may see of the user. */
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

/** Replaces a hash by a stronger one of the same password, unless the password was changed meanwhile. */
export async function upgradePasswordHash(
  db: Knex,
  change: { id: string; from: string; to: string },
): Promise<void> {
  await db<UserRow>('users')
    .where({ id: change.id, password_hash: change.from })
    .update({ password_hash: change.to });
}

/**
 * The kinds of stored hashes that are not made as new ones are: their texts less salt and digest, such as `$2b$12$`.
 * Steps from kind to kind in an index of those hashes alone, so it takes microseconds a kind however many users there
 * are. At most 1000 kinds.
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

/** Hold the lock on the user's row. */
export async function setPasswordHash(db: Knex, id: string, passwordHash: string): Promise<void> {
  await db<UserRow>('users').where({ id }).update({ password_hash: passwordHash, updated_at: db.fn.now() });
}

/** What the users of a list have in common; null is "any". */
export interface UserFilter {
  readonly email: Email | null;
  /** How the canonical e-mail begins. */
  readonly emailPrefix: string | null;
  readonly role: string | null;
  readonly disabled: boolean | null;
}

/** One page of users in the order of their ids, which is the order in which they were made. */
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
 * Writes what a change leaves of a user; hold the lock on the row.
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

/** The user's sessions go with the row: end them before, so that their revocations stay. */
export async function deleteUserRow(db: Knex, id: string): Promise<void> {
  await db<UserRow>('users').where({ id }).delete();
}

/** Changes that take an administrator away take turns by this lock, whoever of them they concern. */
const ADMINISTRATORS_LOCK = 0x61646d69;

/**
 * Whether an enabled user other than `id` has the role, told under a lock that every such change takes and holds until
 * its end: of two administrators who demote each other at once, the second sees what the first did (A05).
 */
export async function lockOthersWithRole(trx: Knex.Transaction, id: string, role: string): Promise<boolean> {
  await trx.raw('SET LOCAL lock_timeout = 1500');
  await trx.raw('SELECT pg_advisory_xact_lock(?)', [ADMINISTRATORS_LOCK]);
  // A statement of its own: its snapshot must be younger than the lock.
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
