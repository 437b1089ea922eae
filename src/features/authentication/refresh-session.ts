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
import {
  endSessions,
  findSession,
  recordRepeat,
  rotateSession,
  type SessionRecord,
} from '../sessions/session-queries.ts';
import {
  parseRefreshToken,
  type PresentedRefreshToken,
  type RefreshTokens,
} from '../../tokens/issue/refresh-token-codec.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';
import type { KeyedLimiter } from '../../domain/concurrency/keyed-limiter.ts';

/** A call that loses to a concurrent rotation reads the session again. One retry suffices unless rotations continue. */
const MAX_ATTEMPTS = 4;

/**
 * How much longer than its session's row says an access token may live. `REVOCATION_MARGIN_SECONDS` covers it, so that
 * repeats shortly after the refresh write nothing.
 */
const MAX_UNRECORDED_REPEAT_MS = 60_000;

export interface RefreshDependencies {
  readonly database: Database;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  readonly policy: SessionPolicy;
  /** One call per session at a time, so that calls do not each hold a connection while they wait for its row (S09). */
  readonly sessionLimiter: KeyedLimiter;
  readonly trust: TrustBundle;
  readonly repeatRateLimiter: RepeatRateLimiter;
  /** Called for each refresh that gives out the same successor again. */
  readonly onRepeat: () => void;
}

/**
 * Exchanges a refresh token for the session's next tokens. `features/sessions/refresh-decision.ts` decides what the token
 * means; this file applies the decision to the database. After reuse of a token the session is ended and committed before
 * the caller is answered, even when the caller has cancelled (S06).
 *
 * @throws Rejected `refresh-refused`, `refresh-rate-limited`, `claims-too-long`, `trust-stale`, `store-unavailable`, `conflict`,
 *   `server-overloaded`
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
  const { policy, sessionLimiter, repeatRateLimiter, onRepeat } = dependencies;
  const { sessionId } = presented;
  const limits = { idleMs: policy.idleSeconds * 1000, graceMs: policy.graceSeconds * 1000 };
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const session = await findPresentedSession(dependencies, presented, call);
    const owner = ownerOf(sessionId, session);
    const decision = decideRefresh(session, presented.generation, session.nowMs, limits);
    switch (decision.kind) {
      case 'rotate': {
        const rotated = await rotate(dependencies, { sessionId, session, to: decision.to }, call);
        if (!rotated) continue;
        repeatRateLimiter.clearRefusal(sessionId);
        return issue(dependencies, sessionId, rotated, decision.to);
      }
      case 'repeat':
        requireWithinRateLimit(repeatRateLimiter.take(sessionId, presented.text, decision.graceLeftMs));
        if (
          !(await prepareRepeat(dependencies, { sessionId, session, generation: decision.generation }, call))
        )
          continue;
        onRepeat();
        return issue(dependencies, sessionId, session, decision.generation);
      case 'reuse':
        await sessionLimiter.run(sessionId, () => endReusedSession(dependencies, presented, session, call));
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

/** Reads the session of a presented token; refuses a token that Postern did not make for it, or may not exchange now. */
async function findPresentedSession(
  { database, issuer, refreshTokens }: RefreshDependencies,
  presented: PresentedRefreshToken,
  call: OperationCall,
): Promise<SessionRecord> {
  const { sessionId } = presented;
  const session = await database.run(call, (db) => findSession(db, sessionId));
  if (!session) throw refused('REFRESH_TOKEN_INVALID', 'unknown');
  const { nonce, userId } = session;
  const { target, actor } = ownerOf(sessionId, session);
  if (!refreshTokens().isGenuine(nonce, presented) || !refreshTokens().isNonceOf(userId, nonce))
    throw refused('REFRESH_TOKEN_INVALID', 'forged', { target });
  if (session.userDisabled) throw refused('REFRESH_TOKEN_REVOKED', 'disabled', { target, actor });
  if (!issuer.serves(session.audience)) throw refused('REFRESH_TOKEN_REVOKED', 'audience', { target, actor });
  issuer.requireRoom(session);
  return session;
}

/** Returns the session after the rotation; null when a concurrent call has changed it first. */
async function rotate(
  { database, policy, sessionLimiter }: RefreshDependencies,
  { sessionId, session, to }: { sessionId: string; session: SessionRecord; to: number },
  call: OperationCall,
): Promise<SessionRecord | null> {
  const rotation = { id: sessionId, to, accessTokenSeconds: policy.accessTokenSeconds };
  const event = sessionEvent('token.refresh', sessionId, session);
  const rotated = await sessionLimiter.run(sessionId, () =>
    database.run(call, (db) => rotateSession(db, rotation, { event, origin: call.origin })),
  );
  if (!rotated) return null;
  const { nowMs, roles } = rotated;
  return { ...session, rotatedAtMs: nowMs, roles, nowMs };
}

/**
 * A session's row says when its last access token expires, and its revocation is kept for that long. Within a long grace
 * time, or by an instance with another lifetime of access tokens, a repeat issues one that expires later: the row must
 * say so first.
 *
 * @returns false when a concurrent call has changed the session first
 */
async function prepareRepeat(
  { database, policy, sessionLimiter }: RefreshDependencies,
  { sessionId, session, generation }: { sessionId: string; session: SessionRecord; generation: number },
  call: OperationCall,
): Promise<boolean> {
  const { accessTokenSeconds } = policy;
  const tokenExpiresAtMs = session.nowMs + accessTokenSeconds * 1000;
  if (tokenExpiresAtMs <= session.accessExpiresAtMs + MAX_UNRECORDED_REPEAT_MS) return true;
  const repeat = { id: sessionId, generation, accessTokenSeconds };
  return sessionLimiter.run(sessionId, () => database.run(call, (db) => recordRepeat(db, repeat)));
}

function ownerOf(sessionId: string, { userId }: SessionRecord) {
  return { target: { type: 'session', id: sessionId }, actor: { type: 'user', id: userId } } as const;
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
    externalId: session.externalId,
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
    ...sessionEvent('token.reuse', presented.sessionId, session),
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

function sessionEvent(action: AuditEvent['action'], sessionId: string, session: SessionRecord): AuditEvent {
  return { action, outcome: 'ok', ...ownerOf(sessionId, session) };
}

function refused(
  reason: RefreshRefusalReason,
  cause: Extract<Rejection, { kind: 'refresh-refused' }>['cause'],
  subject: RefusedSubject = {},
): Rejected {
  return new Rejected({ kind: 'refresh-refused', reason, cause, subject });
}
