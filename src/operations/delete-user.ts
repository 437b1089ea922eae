import type { AuditActor, AuditEvent } from '../domain/audit-event.ts';
import type { OperationCall } from '../domain/call-origin.ts';
import { Rejected } from '../domain/rejection.ts';
import { userEtag } from '../domain/user-etag.ts';
import { insertAuditEvent } from '../store/audit-events.ts';
import type { Database } from '../store/database.ts';
import { endSessions } from '../store/sessions.ts';
import { deleteUserRow, lockWholeUser } from '../store/users.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import { keepAnAdministrator } from './keep-an-administrator.ts';
import { rowOf } from './user-choice.ts';

/**
 * Deletes a user. The sessions end before, so that their revocations outlive them; the audit trail stays.
 *
 * @param deletion.etag see `UserUpdate`
 * @throws Rejected `field-invalid`, `not-found`, `conflict`, `last-admin`, `store-unavailable`
 */
export async function deleteUser(
  { database, trust }: { readonly database: Database; readonly trust: Pick<TrustBundle, 'revoke'> },
  { userId, etag, actor }: { readonly userId: string; readonly etag: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<void> {
  const row = rowOf({ userId });
  const revocations = await database.transaction(call, async (trx) => {
    const user = await lockWholeUser(trx, row);
    if (!user) throw new Rejected({ kind: 'not-found', what: 'user' });
    if (etag !== '' && etag !== userEtag(user)) throw new Rejected({ kind: 'conflict' });
    await keepAnAdministrator(trx, user, null);
    const ended = await endSessions(trx, { userId }, 'user-deleted');
    await deleteUserRow(trx, userId);
    const { roles, disabled } = user;
    const event: AuditEvent = {
      action: 'user.delete',
      outcome: 'ok',
      actor,
      target: { type: 'user', id: userId },
      details: { before: { roles, disabled }, sessions: ended.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return ended;
  });
  trust.revoke(revocations);
}
