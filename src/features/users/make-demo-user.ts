import { randomBytes } from 'node:crypto';

import { ADMIN_ROLE } from '../../domain/caller.ts';
import { budgetOf, ownOrigin } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Database } from '../../database/database.ts';
import { countUsers } from './user-queries.ts';
import { createUser } from './create-user.ts';

const BUDGET_MS = 5_000;

export interface DemoUser {
  readonly email: string;
  readonly password: string;
  readonly isAdmin: boolean;
}

/**
 * Creates a first user with a random password, for a quick start; returns null when the database has users already, so that
 * no user of an earlier release becomes an administrator.
 *
 * @param parts.isAdmin only where every listener is reachable from this machine alone
 */
export async function makeDemoUser({
  database,
  hasher,
  isAdmin,
}: {
  readonly database: Database;
  readonly hasher: PasswordHasher;
  readonly isAdmin: boolean;
}): Promise<DemoUser | null> {
  const budget = budgetOf(BUDGET_MS, Date.now());
  if ((await database.run(budget, (db) => countUsers(db))) > 0) return null;
  const credentials = { email: 'demo@example.com', password: randomBytes(15).toString('base64url') };
  try {
    const passwords = { hasher, policy: { minLength: 12 } };
    const actor = { type: 'operator', id: null } as const;
    await createUser(
      { database, passwords },
      { ...credentials, roles: isAdmin ? [ADMIN_ROLE] : [], actor },
      { ...budget, origin: ownOrigin },
    );
  } catch (error) {
    // A concurrent command created the same user.
    if (error instanceof Rejected && error.rejection.kind === 'email-taken') return null;
    throw error;
  }
  return { ...credentials, isAdmin };
}
