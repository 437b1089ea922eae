import { randomBytes } from 'node:crypto';

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
}

/** Creates a first user with a random password, for a quick start; returns null when the database has users already. */
export async function makeDemoUser({
  database,
  hasher,
}: {
  readonly database: Database;
  readonly hasher: PasswordHasher;
}): Promise<DemoUser | null> {
  const budget = budgetOf(BUDGET_MS, Date.now());
  if ((await database.run(budget, (db) => countUsers(db))) > 0) return null;
  const demo = { email: 'demo@example.com', password: randomBytes(15).toString('base64url') };
  try {
    const passwords = { hasher, policy: { minLength: 12 } };
    const actor = { type: 'operator', id: null } as const;
    await createUser(
      { database, passwords },
      { ...demo, roles: [], actor },
      { ...budget, origin: ownOrigin },
    );
  } catch (error) {
    // A concurrent command created the same user.
    if (error instanceof Rejected && error.rejection.kind === 'email-taken') return null;
    throw error;
  }
  return demo;
}
