import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import { findUserByEmail, findUserById, type User } from './user-queries.ts';
import { resolveUserRef, type UserRef } from './user-ref.ts';

/** @throws Rejected `field-invalid`, `not-found`, `store-unavailable` */
export async function getUser(
  { database }: { readonly database: Database },
  ref: UserRef,
  call: CallBudget,
): Promise<User> {
  const selector = resolveUserRef(ref);
  const user = await database.run(call, (db) =>
    'id' in selector ? findUserById(db, selector.id) : findUserByEmail(db, selector.email),
  );
  if (user) return user;
  throw new Rejected({ kind: 'not-found', resource: 'user' });
}
