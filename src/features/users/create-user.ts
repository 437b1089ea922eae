import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { emailAddress, requireEmail } from './email.ts';
import { externalIdRule } from './external-id.ts';
import { type FieldRules, idToGive, ifDefined, requireValid, unrestricted } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import { tokenRoomViolations } from '../../domain/claims/token-room.ts';
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
  /** The id that the user had in another program. Left out, the user gets a new one. */
  readonly id?: string | undefined;
  /** The id in another program, for the claim `external_id`. */
  readonly externalId?: string | undefined;
}

export interface CreateUserDependencies {
  readonly database: Database;
  readonly passwords: PasswordTools;
  /** From `tokenRoomOf`. Left out, every `externalId` is refused. */
  readonly tokenRoom?: number;
}

const rules: FieldRules<NewUser> = {
  email: emailAddress,
  password: unrestricted,
  roles: userRoles,
  id: ifDefined(idToGive),
  externalId: ifDefined(externalIdRule),
};

/**
 * Checks the fields that need no password, so that a command can report faults before it asks for one.
 *
 * @throws Rejected `field-invalid`
 */
export function validateNewUser(user: Omit<NewUser, 'password'>, tokenRoom = 0): void {
  requireValid(rules, { ...user, password: null });
  const { roles, externalId = null } = user;
  const violations = tokenRoomViolations(tokenRoom, { roles, externalId }, 'external_id');
  if (violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
}

/**
 * Creates a user. An administrator may give the id that the user had in another program, unless a user or a service account
 * has or had it (A04): whoever kept the id would take one for the other.
 *
 * @throws Rejected `field-invalid`, `password-policy`, `email-taken`, `id-taken`, `external-id-taken`, `store-unavailable`,
 *   `server-overloaded`
 */
export async function createUser(
  { database, passwords, tokenRoom }: CreateUserDependencies,
  { actor, ...user }: NewUser & { readonly actor: AuditActor },
  call: OperationCall,
): Promise<User> {
  validateNewUser(user, tokenRoom);
  const { externalId = null } = user;
  const email = requireEmail(user.email);
  const passwordHash =
    user.password === null ? null : await validateAndHash(passwords, user.password, email, call);
  const id = user.id ?? uuidV7(Date.now(), randomBytes(16));
  const roles = [...new Set(user.roles)].sort();
  const event: AuditEvent = {
    action: 'user.create',
    outcome: 'ok',
    actor,
    target: { type: 'user', id },
    details: {
      after: { roles, disabled: false },
      password: passwordHash !== null,
      ...(user.id !== undefined && { given_id: true }),
      ...(externalId !== null && { external_id: true }),
    },
  };
  return database.transaction(call, async (trx) => {
    const created = await insertUser(trx, { id, email, externalId, passwordHash, roles });
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
