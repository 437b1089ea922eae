import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { isUuid, uuid } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { endSessions, findSession } from '../sessions/session-queries.ts';
import { lockUser } from '../users/user-queries.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';

/** Exactly one of the two is set; the other is empty. */
export interface SessionsToEnd {
  readonly userId: string;
  readonly sessionId: string;
}

/**
 * Ends one session, or all sessions of a user. Idempotent; every call writes an audit event, as all changes by
 * administrators do (A07).
 *
 * @param dependencies.trust see `deleteServiceAccount`
 * @returns how many sessions this call ended
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function revokeSessions(
  { database, trust }: { readonly database: Database; readonly trust: Pick<TrustBundle, 'revoke'> | null },
  { actor, ...request }: SessionsToEnd & { readonly actor: AuditActor },
  call: OperationCall,
): Promise<number> {
  const selector = parseSelector(request);
  const revocations = await database.transaction(call, async (trx) => {
    await requireExists(trx, selector);
    const ended = await endSessions(trx, selector, 'administrator');
    const event: AuditEvent = {
      action: 'session.revoke',
      outcome: 'ok',
      actor,
      target:
        'sessionId' in selector
          ? { type: 'session', id: selector.sessionId }
          : { type: 'user', id: selector.userId },
      details: { sessions: ended.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return ended;
  });
  trust?.revoke(revocations);
  return revocations.length;
}

type SessionSelector = { readonly sessionId: string } | { readonly userId: string };

function parseSelector({ userId, sessionId }: SessionsToEnd): SessionSelector {
  if ((userId === '') === (sessionId === '')) {
    const description = 'set either user_id or session_id';
    throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'user_id', description }] });
  }
  const [field, id] = userId === '' ? ['session_id', sessionId] : ['user_id', userId];
  if (!isUuid(id)) throw new Rejected({ kind: 'field-invalid', violations: uuid(id, field) });
  return userId === '' ? { sessionId } : { userId };
}

/** Locks a user's row, so that a concurrent login cannot open a session that the revocation misses. */
async function requireExists(trx: Transaction, selector: SessionSelector): Promise<void> {
  const [what, found] =
    'sessionId' in selector
      ? ['session', await findSession(trx, selector.sessionId)]
      : ['user', await lockUser(trx, selector.userId)];
  if (!found) throw new Rejected({ kind: 'not-found', resource: what });
}
