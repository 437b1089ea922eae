import type { AuditActor, AuditEvent } from '../domain/audit-event.ts';
import type { OperationCall } from '../domain/call-origin.ts';
import { canonicalEmail } from '../domain/email.ts';
import { Rejected } from '../domain/rejection.ts';
import { insertAuditEvent } from '../store/audit-events.ts';
import type { Database } from '../store/database.ts';
import { endSessions } from '../store/sessions.ts';
import { setUserDisabled, type User } from '../store/users.ts';

/**
 * Disables a user, whose sessions end and who can log in no more, or enables one again. Repeating it changes nothing.
 *
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function setUserState(
  database: Database,
  change: { email: string; disabled: boolean; actor: AuditActor },
  call: OperationCall,
): Promise<User> {
  const canonical = canonicalEmail(change.email);
  if (!canonical.ok) {
    const violations = [{ field: 'email', description: canonical.description }];
    throw new Rejected({ kind: 'field-invalid', violations });
  }
  return database.transaction(call, async (trx) => {
    // The update locks the row as a login does: no session is opened between it and the end of the others.
    const user = await setUserDisabled(trx, canonical.email, change.disabled);
    if (!user) throw new Rejected({ kind: 'not-found', what: 'user' });
    if (change.disabled) await endSessions(trx, { userId: user.id }, 'user-disabled');
    const event: AuditEvent = {
      action: change.disabled ? 'user.disable' : 'user.enable',
      outcome: 'ok',
      actor: change.actor,
      target: { type: 'user', id: user.id },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return user;
  });
}
