import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../domain/audit-event.ts';
import type { OperationCall } from '../domain/call-origin.ts';
import { emailAddress, requireEmail } from '../domain/email.ts';
import { type FieldRules, requireValid, unrestricted } from '../domain/field-rules.ts';
import { userRoles } from '../domain/user-roles.ts';
import { uuidV7 } from '../domain/uuid-v7.ts';
import { insertAuditEvent } from '../store/audit-events.ts';
import type { Database } from '../store/database.ts';
import { insertUser, type User } from '../store/users.ts';
import { type PasswordTools, requireGoodPassword } from './require-good-password.ts';

export interface NewUser {
  readonly email: string;
  /** null for a user who cannot log in until a reset sets one. */
  readonly password: string | null;
  readonly roles: readonly string[];
}

const rules: FieldRules<NewUser> = {
  email: emailAddress,
  password: unrestricted,
  roles: userRoles,
};

/**
 * What can be said of a new user before there is a password.
 *
 * @throws Rejected `field-invalid`
 */
export function requireGoodUser(user: Pick<NewUser, 'email' | 'roles'>): void {
  requireValid(rules, { ...user, password: null });
}

/**
 * Makes a user.
 *
 * @throws Rejected `field-invalid`, `password-policy`, `email-taken`, `store-unavailable`, `server-overloaded`
 */
export async function createUser(
  { database, passwords }: { readonly database: Database; readonly passwords: PasswordTools },
  { actor, ...user }: NewUser & { readonly actor: AuditActor },
  call: OperationCall,
): Promise<User> {
  requireValid(rules, user);
  const email = requireEmail(user.email);
  const passwordHash = user.password === null ? null : await hashOf(passwords, user.password, email, call);
  const id = uuidV7(Date.now(), randomBytes(16));
  const roles = [...new Set(user.roles)].sort();
  const event: AuditEvent = {
    action: 'user.create',
    outcome: 'ok',
    actor,
    target: { type: 'user', id },
    details: { after: { roles, disabled: false }, password: passwordHash !== null },
  };
  return database.transaction(call, async (trx) => {
    const made = await insertUser(trx, { id, email, passwordHash, roles });
    await insertAuditEvent(trx, { event, origin: call.origin });
    return made;
  });
}

async function hashOf(
  tools: PasswordTools,
  password: string,
  email: string,
  call: OperationCall,
): Promise<string> {
  await requireGoodPassword(tools, { password, email, field: 'password' });
  return tools.hasher.hash(password, call);
}
