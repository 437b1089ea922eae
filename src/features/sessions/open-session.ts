import { randomBytes } from 'node:crypto';

import type { AuditEvent } from '../../domain/audit-event.ts';
import type { CallOrigin } from '../../domain/operation-call.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import { insertSession, type SessionOpening, type SessionOutcome } from './open-session-queries.ts';
import type { Authentication } from '../../domain/claims/authentication.ts';
import type { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import type { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import type { SessionPolicy } from './session-policy.ts';

/** A transaction, or the pool. */
export type Queryable = Parameters<typeof insertSession>[0];

/** A new session with its first refresh token. */
export type OpenedSession = Extract<SessionOutcome, { outcome: 'opened' }> & {
  readonly sessionId: string;
  readonly refreshToken: string;
  readonly refreshExpiresInSeconds: number;
  readonly authentication: Authentication;
};

type Refused = Exclude<SessionOutcome, { outcome: 'opened' }>;

/** What the user's credential was, and what the session is for. */
export interface SessionRequest extends Pick<SessionOpening, 'expectedHash' | 'strongerHash' | 'forgiven'> {
  readonly userId: string;
  readonly audience: string;
  readonly action: AuditEvent['action'];
  /** Of level `aal2` only when a second factor of the user was right. */
  readonly authentication: Authentication;
}

/**
 * Opens a session for a user whose stored hash is still the expected one and who has no second factor or has proven one, and ends the
 * user's oldest sessions beyond the limit (S14). In a transaction, it holds the lock on the user's row from then on.
 */
export async function openSession(
  db: Queryable,
  dependencies: {
    refreshTokens: RefreshTokens;
    authentications: SessionAuthentications;
    policy: SessionPolicy;
  },
  request: SessionRequest,
  origin: CallOrigin,
): Promise<OpenedSession | Refused> {
  const { refreshTokens, authentications, policy } = dependencies;
  const { userId, audience, action, expectedHash, strongerHash, forgiven, authentication } = request;
  const nowMs = Date.now();
  const sessionId = uuidV7(nowMs, randomBytes(16));
  const nonce = refreshTokens.nonceFor(userId, randomBytes(16));
  const session = {
    id: sessionId,
    userId,
    nonce,
    audience,
    clientAddress: origin.address,
    userAgent: origin.userAgent,
    authentication: authentications.toStored(sessionId, userId, authentication),
    lifetimeSeconds: policy.lifetimeSeconds,
    accessTokenSeconds: policy.accessTokenSeconds,
  };
  const requestId = origin.requestId === '' ? null : origin.requestId;
  const event = {
    id: uuidV7(nowMs, randomBytes(16)),
    action,
    details: auditDetails(authentication),
    requestId,
  };
  const opening = { session, expectedHash, strongerHash, maxSessions: policy.perUser, forgiven, event };
  const opened = await insertSession(db, opening);
  if (opened.outcome !== 'opened') return opened;
  return {
    ...opened,
    sessionId,
    authentication,
    refreshToken: refreshTokens.make(nonce, sessionId, 1),
    refreshExpiresInSeconds: Math.floor(Math.min(policy.lifetimeSeconds, policy.idleSeconds)),
  };
}

/** A login with the password alone is the ordinary case, of which the event says nothing. */
function auditDetails({ acr, amr }: Authentication): Readonly<Record<string, unknown>> | null {
  return acr === 'aal2' ? { amr } : null;
}
