import type { Knex } from 'knex';

import { rejectDuplicate } from '../../../database/pg-errors.ts';
import type { Email } from '../email.ts';
import type { NewUserRow, User } from '../user-queries.ts';

/**
 * Inserts the users whose e-mail, id and external id are not taken. They must be distinct within `users`. Rows are inserted
 * in the order of their e-mails, so that concurrent statements do not deadlock.
 *
 * @returns the e-mails of the users that were inserted
 * @throws Rejected `conflict` when a user with one of the ids was deleted meanwhile
 */
export async function insertNewUsers(db: Knex, users: readonly NewUserRow[]): Promise<Set<string>> {
  const sorted = [...users].sort((a, b) => (a.email < b.email ? -1 : 1));
  const records = sorted.map(({ id, email, externalId, passwordHash, roles, disabled }) => ({
    id,
    email,
    external_id: externalId,
    password_hash: passwordHash,
    roles,
    disabled,
  }));
  const { rows } = await db
    .raw<{ rows: { email: string }[] }>(
      `INSERT INTO users (id, email, external_id, password_hash, roles, disabled_at)
     SELECT id, email, external_id, password_hash, roles, CASE WHEN disabled THEN now() END
     FROM jsonb_to_recordset(?::jsonb)
       AS record (id uuid, email text, external_id text, password_hash text, roles text[], disabled boolean)
     ON CONFLICT DO NOTHING RETURNING email`,
      [JSON.stringify(records)],
    )
    .catch(rejectDuplicate('users_id_never_again', { kind: 'conflict' }));
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

/** The users who have one of the e-mails, ids or external ids. */
export async function findUsersWithAny(
  db: Knex,
  names: {
    readonly emails: readonly string[];
    readonly ids: readonly string[];
    readonly externalIds: readonly string[];
  },
): Promise<Pick<User, 'id' | 'email' | 'externalId'>[]> {
  const { emails, ids, externalIds } = names;
  const { rows } = await db.raw<{ rows: { id: string; email: string; external_id: string | null }[] }>(
    `SELECT id, email, external_id FROM users
     WHERE email = ANY (?::text[]) OR id = ANY (?::uuid[]) OR external_id = ANY (?::text[])`,
    [[...emails], [...ids], [...externalIds]],
  );
  return rows.map(({ id, email, external_id: externalId }) => ({ id, email, externalId }));
}

/** Returns those of the ids that a service account has, or that somebody had who was deleted. */
export async function findUsedIds(db: Knex, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.raw<{ rows: { id: string }[] }>(
    `SELECT id FROM retired_ids WHERE id = ANY (?::uuid[])
     UNION SELECT id FROM service_accounts WHERE id = ANY (?::uuid[])`,
    [[...ids], [...ids]],
  );
  return new Set(rows.map(({ id }) => id));
}
