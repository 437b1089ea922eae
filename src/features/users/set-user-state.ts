import type { AuditActor } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import type { User } from './user-queries.ts';
import { updateUser } from './update-user.ts';

/**
 * Disables or enables a user from a command. Disabling ends the user's sessions and refuses further logins. Idempotent.
 *
 * @throws Rejected `field-invalid`, `not-found`, `last-admin`, `store-unavailable`
 */
export function setUserState(
  { database }: { readonly database: Database },
  change: { email: string; disabled: boolean; actor: AuditActor },
  call: OperationCall,
): Promise<User> {
  const { email, disabled, actor } = change;
  const action = disabled ? 'user.disable' : 'user.enable';
  const update = { user: { email }, etag: '', changes: { disabled }, actor, action } as const;
  return updateUser({ database, trust: null }, update, call);
}
