import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { emailAddress, requireEmail } from './email.ts';
import { type FieldRules, requireValid, unrestricted } from '../../domain/validation.ts';
import { userRoles } from '../../domain/roles.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database } from '../../database/database.ts';
import { insertUser, type User } from './user-queries.ts';
import { type PasswordTools, validateNewPassword } from './validate-new-password.ts';

export interface NewUser {
  readonly email: string;
  /** null for a user without a password, who cannot log in until a reset sets one. */
  readonly password: string | null;
  readonly roles: readonly string[];
}

const rules: FieldRules<NewUser> = {
  email: emailAddress,
  password: unrestricted,
  roles: userRoles,
};

/**
 * Checks the fields that need no password, so that a command can report faults before it asks for one.
 *
 * @throws Rejected `field-invalid`
 */
export function validateNewUser(user: Pick<NewUser, 'email' | 'roles'>): void {
  requireValid(rules, { ...user, password: null });
}

/**
 * Creates a user.
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
  const passwordHash =
    user.password === null ? null : await validateAndHash(passwords, user.password, email, call);
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
    const created = await insertUser(trx, { id, email, passwordHash, roles });
    await insertAuditEvent(trx, { event, origin: call.origin });
    return created;
  });
}

async function validateAndHash(
  passwords: PasswordTools,
  password: string,
  email: string,
  call: OperationCall,
): Promise<string> {
  await validateNewPassword(passwords, { password, email, field: 'password' });
  return passwords.hasher.hash(password, call);
}
