import type { Knex } from 'knex';

import type { Email } from './email.ts';
import { PUBLIC_COLUMNS, type PublicRow, toUser, type User, type UserRow } from './user-queries.ts';

/** Filters that are combined with AND; null matches every user. */
export interface UserFilter {
  readonly email: Email | null;
  /** Prefix of the canonical e-mail. */
  readonly emailPrefix: string | null;
  readonly role: string | null;
  readonly disabled: boolean | null;
}

interface Position {
  readonly afterId: string | null;
  readonly limit: number;
}

/** Up to so many matches of a role or prefix are sorted; with more, a walk by age soon meets enough of them. */
const FEW = 5_000;

/**
 * One page of users in the order of their creation. Ids do not say it, since users may bring theirs from another program. A
 * user who was deleted after the previous page still says where to continue.
 */
export async function listUsers(db: Knex, page: Position, filter?: UserFilter): Promise<User[]> {
  const isSelective = filter !== undefined && (filter.role !== null || filter.emailPrefix !== null);
  const rows = await (isSelective
    ? pageOfSelected(db, page, filter)
    : pageOf(matching(db<UserRow>('users'), filter), page));
  return rows.map(toUser);
}

/**
 * PostgreSQL knows no figures about rare roles and takes them for common ones. It would then walk through the users by age
 * until it has a page: through a million, 0.2 s, for a role that few have; and for a later page of a prefix it would combine
 * the prefix with half of the ages. So it first looks whether there are few.
 */
async function pageOfSelected(db: Knex, page: Position, filter: UserFilter): Promise<PublicRow[]> {
  const few = matching(db<UserRow>('users'), filter)
    .select(PUBLIC_COLUMNS)
    .limit(FEW + 1);
  const ofFew = pageOf(db<UserRow>('few').whereRaw('(SELECT count(*) FROM few) <= ?', [FEW]), page);
  const ofMany = pageOf(
    matching(db<UserRow>('users'), filter).whereRaw('(SELECT count(*) FROM few) > ?', [FEW]),
    page,
  );
  return db
    .withMaterialized('few', few)
    .select<PublicRow[]>(PUBLIC_COLUMNS)
    .from(db.raw('(? UNION ALL ?) AS page', [ofFew, ofMany]))
    .orderBy(['created_at', 'id']);
}

type Users = Knex.QueryBuilder<UserRow, unknown[]>;

function matching(users: Users, filter: UserFilter | undefined): Users {
  if (!filter) return users;
  const { email, emailPrefix, role, disabled } = filter;
  if (email !== null) void users.where({ email });
  if (emailPrefix !== null) void users.whereRaw('starts_with(email, ?)', [emailPrefix]);
  if (role !== null) void users.whereRaw('roles @> ARRAY[?::text]', [role]);
  if (disabled !== null) void users.whereRaw(`disabled_at IS ${disabled ? 'NOT NULL' : 'NULL'}`);
  return users;
}

function pageOf(users: Users, { afterId, limit }: Position): Knex.QueryBuilder<UserRow, PublicRow[]> {
  if (afterId !== null) {
    void users.whereRaw(
      `(created_at, id) > (coalesce((SELECT created_at FROM users WHERE id = ?::uuid),
                                    (SELECT created_at FROM retired_ids WHERE id = ?::uuid)), ?::uuid)`,
      [afterId, afterId, afterId],
    );
  }
  return users.select<PublicRow[]>(PUBLIC_COLUMNS).orderBy(['created_at', 'id']).limit(limit);
}
