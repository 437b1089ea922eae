import type { AuditActor } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import type { User } from './user-queries.ts';
import { updateUser } from './update-user.ts';
import type { UserRef } from './user-ref.ts';

/**
 * Disables or enables a user from a command. Disabling ends the user's sessions and refuses further logins. Idempotent.
 *
 * @throws Rejected `field-invalid`, `not-found`, `last-admin`, `store-unavailable`
 */
export function setUserState(
  { database }: { readonly database: Database },
  change: { user: UserRef; disabled: boolean; actor: AuditActor },
  call: OperationCall,
): Promise<User> {
  const { user, disabled, actor } = change;
  const action = disabled ? 'user.disable' : 'user.enable';
  const update = { user, etag: '', changes: { disabled }, actor, action } as const;
  return updateUser({ database, trust: null }, update, call);
}
