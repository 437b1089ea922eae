import type { AuditActor } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import type { User } from './user-queries.ts';
import { updateUser } from './update-user.ts';

/**
 * Disables a user, whose sessions end and who can log in no more, or enables one again, for whoever works beside the
 * database. Repeating it changes nothing.
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
