import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { userEtag } from './user-etag.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database } from '../../database/database.ts';
import { endSessions } from '../sessions/session-queries.ts';
import { deleteUserRow, lockUserDetails, type User } from './user-queries.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { requireRemainingAdmin } from './require-remaining-admin.ts';
import { resolveUserRef, type UserRef } from './user-ref.ts';

/**
 * Deletes a user. Its sessions are ended first, so that their revocations outlive the rows; the audit trail stays.
 *
 * @param dependencies.trust see `deleteServiceAccount`
 * @param deletion.etag see `UserUpdate`
 * @returns the deleted user
 * @throws Rejected `field-invalid`, `not-found`, `conflict`, `last-admin`, `store-unavailable`
 */
export async function deleteUser(
  { database, trust }: { readonly database: Database; readonly trust: Pick<TrustBundle, 'revoke'> | null },
  deletion: { readonly user: UserRef; readonly etag: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<User> {
  const { etag, actor } = deletion;
  const selector = resolveUserRef(deletion.user);
  const { user, revocations } = await database.transaction(call, async (trx) => {
    const user = await lockUserDetails(trx, selector);
    if (!user) throw new Rejected({ kind: 'not-found', resource: 'user' });
    if (etag !== '' && etag !== userEtag(user)) throw new Rejected({ kind: 'conflict' });
    await requireRemainingAdmin(trx, user, null);
    const ended = await endSessions(trx, { userId: user.id }, 'user-deleted');
    await deleteUserRow(trx, user.id);
    const { roles, disabled } = user;
    const event: AuditEvent = {
      action: 'user.delete',
      outcome: 'ok',
      actor,
      target: { type: 'user', id: user.id },
      details: { before: { roles, disabled }, sessions: ended.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { user, revocations: ended };
  });
  trust?.revoke(revocations);
  return user;
}
