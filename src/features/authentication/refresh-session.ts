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
import { endSessions, findSession, recordRepeat, type SessionRecord } from '../sessions/session-queries.ts';
import type { RotationResult } from '../sessions/rotation-queries.ts';
import type { SessionRotator } from '../sessions/session-rotator.ts';
import {
  parseRefreshToken,
  type PresentedRefreshToken,
  randomPartOf,
  type RefreshTokens,
} from '../../tokens/issue/refresh-token-codec.ts';
import type { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';
import type { KeyedLimiter } from '../../domain/concurrency/keyed-limiter.ts';

/** A call that loses to a concurrent rotation looks at the session again. One retry suffices unless rotations continue. */
const MAX_ATTEMPTS = 4;

/**
 * How much longer than its session's row says an access token may live. `REVOCATION_MARGIN_SECONDS` covers it, so that
 * repeats shortly after the refresh write nothing.
 */
const MAX_UNRECORDED_REPEAT_MS = 60_000;

export interface RefreshDependencies {
  readonly database: Database;
  readonly rotator: SessionRotator;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  readonly authentications: () => SessionAuthentications;
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
 * means, and the statement of the rotation decides alike; this file applies the other decisions to the database. A token
 * of form 2 is judged before the database is asked, so a forged one costs no query. After reuse of a token the session is
 * ended and committed before the caller is answered, even when the caller has cancelled (S06).
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
  if (!dependencies.refreshTokens().mayBeGenuine(presented)) throw refused('REFRESH_TOKEN_INVALID', 'forged');
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
  const nonce = presented.nonce ?? (await findNonce(dependencies, presented, call));
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const { session, rotatedAtMs } = await rotate(dependencies, presented, nonce, call);
    requireSameOwner(dependencies, sessionId, session);
    const owner = ownerOf(sessionId, session);
    if (rotatedAtMs !== null) {
      repeatRateLimiter.clearRefusal(sessionId);
      const rotated = { ...session, rotatedAtMs, nowMs: rotatedAtMs };
      return issue(dependencies, sessionId, rotated, presented.generation + 1);
    }
    requireEligible(dependencies, sessionId, session);
    const decision = decideRefresh(session, presented.generation, session.nowMs, limits);
    switch (decision.kind) {
      case 'rotate':
        // A concurrent call has changed the session since this one read it.
        continue;
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

/** Judges a token of form 1, whose MAC depends on the nonce of its session. */
async function findNonce(
  { database, refreshTokens }: RefreshDependencies,
  presented: PresentedRefreshToken,
  call: OperationCall,
): Promise<Uint8Array> {
  const { sessionId } = presented;
  const session = await database.run(call, (db) => findSession(db, sessionId));
  if (!session) throw refused('REFRESH_TOKEN_INVALID', 'unknown');
  const { target } = ownerOf(sessionId, session);
  if (!refreshTokens().isGenuine(session.nonce, presented))
    throw refused('REFRESH_TOKEN_INVALID', 'forged', { target });
  return randomPartOf(session.nonce);
}

async function rotate(
  { rotator, sessionLimiter }: RefreshDependencies,
  { sessionId, generation }: PresentedRefreshToken,
  nonce: Uint8Array,
  call: OperationCall,
): Promise<RotationResult> {
  const rotation = { sessionId, nonce, to: generation + 1, origin: call.origin };
  const result = await sessionLimiter.run(sessionId, () => rotator.rotate(call, rotation));
  if (!result) throw refused('REFRESH_TOKEN_INVALID', 'unknown');
  return result;
}

/**
 * The MAC in the nonce shows whose session it was made as. It is judged after the rotation, since the owner is not known
 * before: a session that a database writer has given to another user yields no token (D20).
 */
function requireSameOwner(
  { refreshTokens }: RefreshDependencies,
  sessionId: string,
  session: SessionRecord,
): void {
  if (refreshTokens().isNonceOf(session.userId, session.nonce)) return;
  throw refused('REFRESH_TOKEN_INVALID', 'forged', { target: ownerOf(sessionId, session).target });
}

function requireEligible({ issuer }: RefreshDependencies, sessionId: string, session: SessionRecord): void {
  const owner = ownerOf(sessionId, session);
  if (session.userDisabled) throw refused('REFRESH_TOKEN_REVOKED', 'disabled', owner);
  if (!issuer.serves(session.audience)) throw refused('REFRESH_TOKEN_REVOKED', 'audience', owner);
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
  { issuer, refreshTokens, authentications, policy }: RefreshDependencies,
  sessionId: string,
  session: SessionRecord,
  generation: number,
): Promise<IssuedTokens> {
  issuer.requireRoom(session);
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId: session.userId,
    sessionId,
    externalId: session.externalId,
    roles: session.roles,
    audience: session.audience,
    authentication: authentications().fromStored(sessionId, session.userId, session.authentication),
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
