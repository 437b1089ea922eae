import type { CallBudget } from '../domain/call-budget.ts';
import { canonicalEmail } from '../domain/email.ts';
import { Rejected } from '../domain/rejection.ts';
import type { Database } from '../store/database.ts';
import { setUserDisabled, type User } from '../store/users.ts';

/**
 * Disables a user, who can then log in no more, or enables one again. Repeating it changes nothing.
 *
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function setUserState(
  database: Database,
  change: { email: string; disabled: boolean },
  budget: CallBudget,
): Promise<User> {
  const canonical = canonicalEmail(change.email);
  if (!canonical.ok) {
    const violations = [{ field: 'email', description: canonical.description }];
    throw new Rejected({ kind: 'field-invalid', violations });
  }
  const user = await database.run(budget, (db) => setUserDisabled(db, canonical.email, change.disabled));
  if (!user) throw new Rejected({ kind: 'not-found', what: 'user' });
  return user;
}
