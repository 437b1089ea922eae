import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { endSessions } from '../sessions/session-queries.ts';
import { lockUserDetails } from '../users/user-queries.ts';
import { resolveUserRef, type UserRef } from '../users/user-ref.ts';
import { deleteFactorsOf } from './factor-queries.ts';

/**
 * Deletes all second factors and recovery codes of a user who lost them, and ends all sessions: whoever has the lost device may
 * have one. The password stays.
 *
 * @param dependencies.trust see `deleteServiceAccount`
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function resetFactors(
  { database, trust }: { readonly database: Database; readonly trust: Pick<TrustBundle, 'revoke'> | null },
  { user: ref, actor }: { readonly user: UserRef; readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly factors: number; readonly recoveryCodes: number; readonly endedSessions: number }> {
  const selector = resolveUserRef(ref);
  const { deleted, revocations } = await database.transaction(call, async (trx) => {
    // Whoever adds a factor and whoever logs in holds the same lock: neither comes between the deletion and the end of the sessions.
    const user = await lockUserDetails(trx, selector);
    if (!user) throw new Rejected({ kind: 'not-found', resource: 'user' });
    const deleted = await deleteFactorsOf(trx, user.id);
    const ended = await endSessions(trx, { userId: user.id }, 'factors-reset');
    const event: AuditEvent = {
      action: 'factor.reset',
      outcome: 'ok',
      actor,
      target: { type: 'user', id: user.id },
      details: {
        factors: deleted.factors,
        recovery_codes: deleted.recoveryCodes,
        sessions: ended.length,
      },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { deleted, revocations: ended };
  });
  trust?.revoke(revocations);
  return { ...deleted, endedSessions: revocations.length };
}
