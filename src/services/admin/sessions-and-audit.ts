import type {
  AuditEvent as AuditEventMessage,
  Session as SessionMessage,
} from '../../generated/postern/v1/admin.ts';
import { listAuditEvents } from '../../features/audit/list-audit-events.ts';
import { listSessions } from '../../features/authentication/list-sessions.ts';
import { revokeSessions } from '../../features/authentication/revoke-sessions.ts';
import type { RecordedEvent } from '../../features/audit/audit-queries.ts';
import type { ListedSession } from '../../features/sessions/session-queries.ts';
import { actorOf, type AdminHandlers, type AdminDependencies } from './admin-dependencies.ts';

/** The RPCs about sessions and the audit trail. */
export function adminSessions(
  dependencies: AdminDependencies,
): Pick<AdminHandlers, 'listSessions' | 'revokeSessions' | 'listAuditEvents'> {
  return {
    listSessions: async (request, call) => {
      const { rows, nextPageToken } = await listSessions(dependencies, request, call);
      return { sessions: rows.map(sessionMessage), nextPageToken };
    },
    revokeSessions: async ({ userId, sessionId }, call) => ({
      ended: await revokeSessions(dependencies, { userId, sessionId, actor: actorOf(call) }, call),
    }),
    listAuditEvents: async (request, call) => {
      const { rows, nextPageToken } = await listAuditEvents(dependencies, request, call);
      return { events: rows.map(auditEventMessage), nextPageToken };
    },
  };
}

function sessionMessage(session: ListedSession): SessionMessage {
  return {
    id: session.id,
    userId: session.userId,
    audience: session.audience,
    clientAddress: session.clientAddress ?? '',
    userAgent: session.userAgent ?? '',
    createdAt: session.createdAt,
    refreshedAt: session.refreshedAt ?? undefined,
    expiresAt: session.expiresAt,
    endedAt: session.endedAt ?? undefined,
  };
}

function auditEventMessage(event: RecordedEvent): AuditEventMessage {
  return {
    id: event.id,
    at: event.at,
    action: event.action,
    outcome: event.outcome,
    reason: event.reason ?? '',
    actorType: event.actorType,
    actorId: event.actorId ?? '',
    targetType: event.targetType ?? '',
    targetId: event.targetId ?? '',
    clientAddress: event.clientAddress ?? '',
    userAgent: event.userAgent ?? '',
    requestId: event.requestId ?? '',
    details: event.details === null ? '' : JSON.stringify(event.details),
  };
}
