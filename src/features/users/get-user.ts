import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import { findUser, type User } from './user-queries.ts';
import { resolveUserRef, type UserRef } from './user-ref.ts';

/** @throws Rejected `field-invalid`, `not-found`, `store-unavailable` */
export async function getUser(
  { database }: { readonly database: Database },
  ref: UserRef,
  call: CallBudget,
): Promise<User> {
  const selector = resolveUserRef(ref);
  const user = await database.run(call, (db) => findUser(db, selector));
  if (user) return user;
  throw new Rejected({ kind: 'not-found', resource: 'user' });
}
