import type { AuditEvent } from '../../domain/audit-event.ts';
import type { CallBudget, CallOrigin, OperationCall } from '../../domain/operation-call.ts';
import { DEFAULT_SKEW_SECONDS, type VerifiedClaims } from '../../domain/claims.ts';
import { isUuid } from '../../domain/validation.ts';
import { decideRefresh } from '../sessions/refresh-decision.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { insertRevocation, REVOCATION_MARGIN_SECONDS } from '../revocations/revocation-queries.ts';
import { endSessions, findSession } from '../sessions/session-queries.ts';
import { lockUser } from '../users/user-queries.ts';
import {
  looksLikeRefreshToken,
  parseRefreshToken,
  type RefreshTokens,
} from '../../tokens/issue/refresh-token-codec.ts';
import type { TokenVerifier } from '../../tokens/verify/token-verifier.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';
import type { KeyedLimiter } from '../../domain/keyed-limiter.ts';

export interface RevokeDependencies {
  readonly database: Database;
  readonly verifier: TokenVerifier;
  readonly refreshTokens: () => RefreshTokens;
  readonly policy: SessionPolicy;
  readonly sessionLimiter: KeyedLimiter;
  readonly trust: TrustBundle;
  /** Waits until the keys have been read anew, together with whoever else waits for that. */
  readonly nextRefresh: (call: CallBudget) => Promise<void>;
  /** Unix time, ms: the clock by which tokens are judged here. */
  readonly nowMs: () => number;
}

/** Whom a presented token lets its holder log out. */
type RevocationTarget =
  | {
      readonly kind: 'session';
      readonly sessionId: string;
      readonly userId: string;
      readonly mayEndAll: boolean;
      /** When the presented access token expires, Unix time; null for a refresh token. */
      readonly tokenExpiresAtSeconds: number | null;
    }
  | { readonly kind: 'token'; readonly claims: VerifiedClaims };

/**
 * Ends the session of a token, or all of its user's; a token without a session ends alone. Idempotent, and silent
 * about a token that nobody accepts: it has nothing left to end (RFC 7009 section 2.2). To return is a promise that no
 * verifier accepts the token any more, so a token counts that is only refused here: for a key of which this process has
 * not heard, a time that has not come by its clock, an audience that is not among its settings.
 *
 * @returns whether anything ended, which the caller is not told
 * @throws Rejected `store-unavailable`, `trust-stale` while the keys cannot be read, `server-overloaded`, `field-invalid`
 *   for a token that cannot be told from others and so cannot be revoked (RFC 7009 section 2.2.1, unsupported_token_type)
 */
export async function revokeToken(
  dependencies: RevokeDependencies,
  input: { readonly token: string; readonly allSessions: boolean },
  call: OperationCall,
): Promise<boolean> {
  const { database, sessionLimiter, trust } = dependencies;
  const target = looksLikeRefreshToken(input.token)
    ? await targetOfRefreshToken(dependencies, input.token, call)
    : await targetOfAccessToken(dependencies, input.token, call);
  if (!target) return false;
  const end = () =>
    database.transaction(call, (trx) =>
      target.kind === 'token'
        ? revokeTokenOnly(trx, target.claims, call.origin)
        : endSessionsFor(trx, target, input.allSessions && target.mayEndAll, call.origin),
    );
  const ended = await (target.kind === 'token' ? end() : sessionLimiter.run(target.sessionId, end));
  trust.revoke(ended);
  return ended.length > 0;
}

async function targetOfRefreshToken(
  { database, refreshTokens, policy }: RevokeDependencies,
  text: string,
  call: OperationCall,
): Promise<RevocationTarget | null> {
  const presented = parseRefreshToken(text);
  if (!presented) return null;
  const { sessionId } = presented;
  const session = await database.run(call, (db) => findSession(db, sessionId));
  if (!session || !refreshTokens().isGenuine(session.nonce, presented)) return null;
  if (!refreshTokens().isNonceOf(session.userId, session.nonce)) return null;
  const limits = { idleMs: policy.idleSeconds * 1000, graceMs: policy.graceSeconds * 1000 };
  const { kind } = decideRefresh(session, presented.generation, session.nowMs, limits);
  // An old token may only end what it belonged to: its holder may be a thief who would log the owner out everywhere.
  const mayEndAll = kind === 'rotate' || kind === 'repeat';
  return { kind: 'session', sessionId, userId: session.userId, mayEndAll, tokenExpiresAtSeconds: null };
}

async function targetOfAccessToken(
  dependencies: RevokeDependencies,
  text: string,
  call: OperationCall,
): Promise<RevocationTarget | null> {
  const { trust, nowMs } = dependencies;
  const claims = await claimsOf(dependencies, text, call);
  if (claims === null) return null;
  const { sessionId, tokenId, subject, expiresAtSeconds } = claims;
  const untilSeconds = revocationExpiryOf(expiresAtSeconds);
  // By another clock it may be good after it has expired by this one, but no longer than its revocation would be kept.
  if (untilSeconds <= nowMs() / 1000 || trust.isRevokedUntil(claims, untilSeconds)) return null;
  if (sessionId === null && tokenId === null) throw notRevocable();
  if (sessionId === null) return { kind: 'token', claims };
  const hasExpired = expiresAtSeconds + DEFAULT_SKEW_SECONDS <= nowMs() / 1000;
  // What a thief may hold long after the logout must not log the owner out everywhere.
  const mayEndAll = !hasExpired && !trust.isRevoked(claims);
  const tokenExpiresAtSeconds = expiresAtSeconds;
  return { kind: 'session', sessionId, userId: subject, mayEndAll, tokenExpiresAtSeconds };
}

/** Of a key that is not known here a token is well formed, and nothing more: only news of the keys tell whether it is junk. */
async function claimsOf(
  { verifier, nextRefresh }: RevokeDependencies,
  text: string,
  call: OperationCall,
): Promise<VerifiedClaims | null> {
  let verdict = await verifier.identify(text);
  if (!verdict.ok && verdict.refusal.reason === 'TOKEN_KEY_UNKNOWN') {
    await nextRefresh(call);
    verdict = await verifier.identify(text);
  }
  return verdict.ok ? verdict.claims : null;
}

async function endSessionsFor(
  trx: Transaction,
  target: Extract<RevocationTarget, { kind: 'session' }>,
  all: boolean,
  origin: CallOrigin,
): Promise<Revocation[]> {
  const { sessionId, userId, tokenExpiresAtSeconds } = target;
  if (all && isUuid(userId)) await lockUser(trx, userId);
  const choice = all && isUuid(userId) ? { userId } : { sessionId };
  let ended = isUuid(sessionId) ? await endSessions(trx, choice, 'revoked') : [];
  if (tokenExpiresAtSeconds !== null) {
    // A token that another program signed with the shared secret names a session that is not in our table, or lives
    // longer than the tokens that the session was given.
    const untilSeconds = revocationExpiryOf(tokenExpiresAtSeconds);
    const isCovered = ended.some(
      ({ id, expiresAtSeconds }) => id === sessionId && expiresAtSeconds >= untilSeconds,
    );
    if (!isCovered) {
      const revocation: Revocation = { kind: 'sid', id: sessionId, expiresAtSeconds: untilSeconds };
      await insertRevocation(trx, revocation);
      ended = [...ended.filter(({ id }) => id !== sessionId), revocation];
    }
  }
  if (ended.length === 0) return [];
  const event: AuditEvent = {
    action: 'token.revoke',
    outcome: 'ok',
    actor: { type: 'user', id: userId },
    target: { type: 'session', id: sessionId },
    ...(all && { details: { sessions: ended.map(({ id }) => id) } }),
  };
  await insertAuditEvent(trx, { event, origin });
  return ended;
}

/** For a service account's token, or one of a program that shares the secret and has no sessions. */
async function revokeTokenOnly(
  trx: Transaction,
  { tokenId, subject, expiresAtSeconds }: VerifiedClaims,
  origin: CallOrigin,
): Promise<Revocation[]> {
  if (tokenId === null) return [];
  const revocation: Revocation = {
    kind: 'jti',
    id: tokenId,
    expiresAtSeconds: revocationExpiryOf(expiresAtSeconds),
  };
  await insertRevocation(trx, revocation);
  const event: AuditEvent = {
    action: 'token.revoke',
    outcome: 'ok',
    actor: { type: 'service', id: subject },
    target: { type: 'token', id: tokenId },
  };
  await insertAuditEvent(trx, { event, origin });
  return [revocation];
}

/** Until when a revocation is kept, Unix time: no clock for which Postern answers takes the token for good then. */
function revocationExpiryOf(tokenExpiresAtSeconds: number): number {
  return tokenExpiresAtSeconds + REVOCATION_MARGIN_SECONDS;
}

function notRevocable(): Rejected {
  const description =
    'has neither jti nor sid and therefore cannot be revoked: it is valid until it expires or its signing secret is removed';
  return new Rejected({ kind: 'field-invalid', violations: [{ field: 'token', description }] });
}
