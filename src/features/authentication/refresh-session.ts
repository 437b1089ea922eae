import type { AuditEvent } from '../../domain/audit-event.ts';
import type { RepeatRateLimiter } from '../sessions/repeat-rate-limiter.ts';
import { type OperationCall, withoutCancellation } from '../../domain/operation-call.ts';
import { decideRefresh, sessionEndMs } from '../sessions/refresh-decision.ts';
import {
  Rejected,
  type RefreshRefusalReason,
  type RefusedSubject,
  type Rejection,
} from '../../domain/rejection.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database } from '../../database/database.ts';
import { endSessions, findSession, rotateSession, type SessionRecord } from '../sessions/session-queries.ts';
import {
  parseRefreshToken,
  type PresentedRefreshToken,
  type RefreshTokens,
} from '../../tokens/issue/refresh-token-codec.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';
import type { KeyedLimiter } from '../../domain/keyed-limiter.ts';

/** A racer that lost looks again; after the first loss the answer is known unless rotations go on all the while. */
const MAX_ATTEMPTS = 4;

export interface RefreshDependencies {
  readonly database: Database;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  readonly policy: SessionPolicy;
  /** One at a time for each session, so that its row is never waited for with a connection each (S09). */
  readonly sessionLimiter: KeyedLimiter;
  readonly trust: TrustBundle;
  readonly repeatRateLimiter: RepeatRateLimiter;
  /** Told of a refresh that gave the same successor again. */
  readonly onRepeat: () => void;
}

/**
 * Exchanges a refresh token for the session's next tokens. What it means that this token comes now is decided in
 * `features/sessions/refresh-decision.ts`; here it is made true in the database. When two hold one session it ends, committed,
 * before the caller hears of it and although the caller has left (S06).
 *
 * @throws Rejected `refresh-refused`, `refresh-rate-limited`, `store-unavailable`, `conflict`, `server-overloaded`
 */
export async function refreshToken(
  dependencies: RefreshDependencies,
  input: { readonly refreshToken: string },
  call: OperationCall,
): Promise<IssuedTokens> {
  const presented = parseRefreshToken(input.refreshToken);
  if (!presented) throw refused('REFRESH_TOKEN_INVALID', 'malformed');
  requireWithinRateLimit(dependencies.repeatRateLimiter.waitMsOf(presented.sessionId, input.refreshToken));
  return exchange(dependencies, { ...presented, text: input.refreshToken }, call);
}

async function exchange(
  dependencies: RefreshDependencies,
  presented: PresentedRefreshToken & { readonly text: string },
  call: OperationCall,
): Promise<IssuedTokens> {
  const { database, issuer, refreshTokens, policy, sessionLimiter } = dependencies;
  const limits = { idleMs: policy.idleSeconds * 1000, graceMs: policy.graceSeconds * 1000 };
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const session = await database.run(call, (db) => findSession(db, presented.sessionId));
    if (!session) throw refused('REFRESH_TOKEN_INVALID', 'unknown');
    const target = { type: 'session', id: presented.sessionId } as const;
    const { nonce, userId } = session;
    if (!refreshTokens().isGenuine(nonce, presented) || !refreshTokens().isNonceOf(userId, nonce))
      throw refused('REFRESH_TOKEN_INVALID', 'forged', { target });
    const owner = { target, actor: { type: 'user', id: session.userId } } as const;
    if (session.userDisabled) throw refused('REFRESH_TOKEN_REVOKED', 'disabled', owner);
    if (!issuer.serves(session.audience)) throw refused('REFRESH_TOKEN_REVOKED', 'audience', owner);
    const decision = decideRefresh(session, presented.generation, session.nowMs, limits);
    switch (decision.kind) {
      case 'rotate': {
        const rotation = {
          id: presented.sessionId,
          to: decision.to,
          accessTokenSeconds: policy.accessTokenSeconds,
        };
        const event = sessionEvent('token.refresh', presented, session);
        const { origin } = call;
        const rotated = await sessionLimiter.run(presented.sessionId, () =>
          database.run(call, (db) => rotateSession(db, rotation, { event, origin })),
        );
        if (!rotated) continue;
        const rotatedSession = {
          ...session,
          rotatedAtMs: rotated.nowMs,
          roles: rotated.roles,
          nowMs: rotated.nowMs,
        };
        dependencies.repeatRateLimiter.clearRefusal(presented.sessionId);
        return issue(dependencies, presented.sessionId, rotatedSession, decision.to);
      }
      case 'repeat':
        requireWithinRateLimit(
          dependencies.repeatRateLimiter.take(presented.sessionId, presented.text, decision.graceLeftMs),
        );
        dependencies.onRepeat();
        return issue(dependencies, presented.sessionId, session, decision.generation);
      case 'reuse':
        await sessionLimiter.run(presented.sessionId, () =>
          endReusedSession(dependencies, presented, session, call),
        );
        throw refused('REFRESH_TOKEN_REUSED', 'reused', owner);
      case 'expired':
        throw refused('REFRESH_TOKEN_EXPIRED', 'expired', owner);
      case 'ended':
        throw refused('REFRESH_TOKEN_REVOKED', 'ended', owner);
      default:
        return decision satisfies never;
    }
  }
  throw new Rejected({ kind: 'conflict' });
}

function requireWithinRateLimit(waitMs: number): void {
  if (waitMs > 0) throw new Rejected({ kind: 'refresh-rate-limited', retryAfterMs: waitMs });
}

async function issue(
  { issuer, refreshTokens, policy }: RefreshDependencies,
  sessionId: string,
  session: SessionRecord,
  generation: number,
): Promise<IssuedTokens> {
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId: session.userId,
    sessionId,
    roles: session.roles,
    audience: session.audience,
  });
  const endMs = sessionEndMs(session, { idleMs: policy.idleSeconds * 1000 });
  return {
    accessToken: token,
    expiresInSeconds,
    refreshToken: refreshTokens().make(session.nonce, sessionId, generation),
    refreshExpiresInSeconds: Math.max(0, Math.floor((endMs - session.nowMs) / 1000)),
    sessionId,
    userId: session.userId,
  };
}

async function endReusedSession(
  { database, trust }: RefreshDependencies,
  presented: PresentedRefreshToken,
  session: SessionRecord,
  call: OperationCall,
): Promise<void> {
  const event: AuditEvent = {
    ...sessionEvent('token.reuse', presented, session),
    outcome: 'refused',
    reason: 'REFRESH_TOKEN_REUSED',
    details: { presented: presented.generation, newest: session.generation },
  };
  const ended = await database.transaction(withoutCancellation(call), async (trx) => {
    const revocations = await endSessions(trx, { sessionId: presented.sessionId }, 'reuse');
    if (revocations.length > 0) await insertAuditEvent(trx, { event, origin: call.origin });
    return revocations;
  });
  trust.revoke(ended);
}

function sessionEvent(
  action: AuditEvent['action'],
  presented: PresentedRefreshToken,
  session: SessionRecord,
): AuditEvent {
  return {
    action,
    outcome: 'ok',
    actor: { type: 'user', id: session.userId },
    target: { type: 'session', id: presented.sessionId },
  };
}

function refused(
  reason: RefreshRefusalReason,
  cause: Extract<Rejection, { kind: 'refresh-refused' }>['cause'],
  subject: RefusedSubject = {},
): Rejected {
  return new Rejected({ kind: 'refresh-refused', reason, cause, subject });
}
