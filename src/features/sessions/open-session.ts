import { randomBytes } from 'node:crypto';

import type { AuditEvent } from '../../domain/audit-event.ts';
import type { CallOrigin } from '../../domain/operation-call.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import type { Transaction } from '../../database/database.ts';
import { insertSession } from './session-queries.ts';
import type { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import type { SessionPolicy } from './session-policy.ts';

/** A new session with its first refresh token. */
export interface OpenedSession {
  readonly sessionId: string;
  readonly refreshToken: string;
  readonly refreshExpiresInSeconds: number;
  /** The revocations of the older sessions that were ended because of the limit. */
  readonly revocations: readonly Revocation[];
}

/**
 * Opens a session and ends the user's oldest sessions beyond the limit (S14). The transaction must hold the lock on the
 * user's row.
 *
 * @param request.action the audit action, such as `login`
 */
export async function openSession(
  trx: Transaction,
  dependencies: { refreshTokens: RefreshTokens; policy: SessionPolicy },
  request: { userId: string; audience: string; action: AuditEvent['action'] },
  origin: CallOrigin,
): Promise<OpenedSession> {
  const { refreshTokens, policy } = dependencies;
  const { userId, audience, action } = request;
  const sessionId = uuidV7(Date.now(), randomBytes(16));
  const nonce = refreshTokens.nonceFor(userId, randomBytes(16));
  const session = {
    id: sessionId,
    userId,
    nonce,
    audience,
    clientAddress: origin.address,
    userAgent: origin.userAgent,
    lifetimeSeconds: policy.lifetimeSeconds,
    accessTokenSeconds: policy.accessTokenSeconds,
  };
  const event: AuditEvent = {
    action,
    outcome: 'ok',
    actor: { type: 'user', id: userId },
    target: { type: 'session', id: sessionId },
  };
  const revocations = await insertSession(trx, session, policy.perUser, { event, origin });
  return {
    sessionId,
    refreshToken: refreshTokens.make(nonce, sessionId, 1),
    refreshExpiresInSeconds: Math.min(policy.lifetimeSeconds, policy.idleSeconds),
    revocations,
  };
}
