import { randomBytes } from 'node:crypto';

import type { CallBudget } from '../domain/call-budget.ts';
import { canonicalEmail, emailAddress } from '../domain/email.ts';
import { type FieldRules, requireValid, unrestricted } from '../domain/field-rules.ts';
import { userRoles } from '../domain/user-roles.ts';
import { uuidV7 } from '../domain/uuid-v7.ts';
import type { PasswordHasher } from '../passwords/password-hasher.ts';
import type { Database } from '../store/database.ts';
import { insertUser, type User } from '../store/users.ts';
import { requireGoodPassword } from './require-good-password.ts';

export interface NewUser {
  readonly email: string;
  readonly password: string;
  readonly roles: readonly string[];
}

const rules: FieldRules<NewUser> = {
  email: emailAddress,
  password: unrestricted,
  roles: userRoles,
};

/**
 * Makes a user who can log in.
 *
 * @param policy.minLength of the password, in code points
 * @throws Rejected `field-invalid`, `password-policy`, `email-taken`, `store-unavailable`
 */
export async function createUser(
  dependencies: { database: Database; hasher: PasswordHasher },
  policy: { minLength: number },
  user: NewUser,
  budget: CallBudget,
): Promise<User> {
  requireValid(rules, user);
  const canonical = canonicalEmail(user.email);
  if (!canonical.ok) throw new Error('a checked e-mail has no canonical form');
  const { email } = canonical;
  const { hasher } = dependencies;
  await requireGoodPassword({ hasher, policy }, { password: user.password, email, field: 'password' });

  const passwordHash = await hasher.hash(user.password, budget);
  const id = uuidV7(Date.now(), randomBytes(16));
  const roles = [...new Set(user.roles)].sort();
  return dependencies.database.run(budget, (db) => insertUser(db, { id, email, passwordHash, roles }));
}
