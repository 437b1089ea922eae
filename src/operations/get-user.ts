import type { CallBudget } from '../domain/call-budget.ts';
import { Rejected } from '../domain/rejection.ts';
import type { Database } from '../store/database.ts';
import { findUserByEmail, findUserById, type User } from '../store/users.ts';
import { rowOf, type UserChoice } from './user-choice.ts';

/** @throws Rejected `field-invalid`, `not-found`, `store-unavailable` */
export async function getUser(database: Database, choice: UserChoice, budget: CallBudget): Promise<User> {
  const row = rowOf(choice);
  const user = await database.run(budget, (db) =>
    'id' in row ? findUserById(db, row.id) : findUserByEmail(db, row.email),
  );
  if (user) return user;
  throw new Rejected({ kind: 'not-found', what: 'user' });
}
