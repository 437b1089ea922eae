import type { AuditEvent } from '../../domain/audit-event.ts';
import type { CallBudget, CallOrigin, OperationCall } from '../../domain/operation-call.ts';
import { actorsOf } from '../../domain/claims/actor.ts';
import { isDerived } from '../../domain/claims/derived-token.ts';
import { DEFAULT_SKEW_SECONDS, type VerifiedClaims } from '../../domain/claims/claims.ts';
import { isUuid } from '../../domain/validation.ts';
import type { ApiKeyDigests } from '../../crypto/api-key-digests.ts';
import type { ApiKeyDirectory } from '../api-keys/api-key-directory.ts';
import { revokePresentedApiKey } from '../api-keys/revoke-api-key.ts';
import { looksLikeApiKey } from '../../domain/claims/api-key.ts';
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
import type { KeyedLimiter } from '../../domain/concurrency/keyed-limiter.ts';

export interface RevokeDependencies {
  readonly database: Database;
  readonly verifier: TokenVerifier;
  readonly refreshTokens: () => RefreshTokens;
  readonly policy: SessionPolicy;
  readonly sessionLimiter: KeyedLimiter;
  readonly apiKeyDigests: ApiKeyDigests;
  readonly apiKeys: Pick<ApiKeyDirectory, 'find'>;
  readonly trust: TrustBundle;
  /** Resolves after the next refresh of the keys from the database; concurrent calls share one refresh. */
  readonly nextRefresh: (call: CallBudget) => Promise<void>;
  /** Clock for the expiry of tokens. Unix time, ms. */
  readonly nowMs: () => number;
}

/** What a presented token may end. */
type RevocationTarget =
  | {
      readonly kind: 'session';
      readonly sessionId: string;
      readonly userId: string;
      readonly mayEndAll: boolean;
      /** Expiry of the presented access token, Unix time; null for a refresh token. */
      readonly tokenExpiresAtSeconds: number | null;
    }
  | { readonly kind: 'token'; readonly claims: VerifiedClaims };

/**
 * Ends the session of a token, or all sessions of its user; revokes a token without a session, one that was exchanged for
 * another one, or an API key, by itself. Idempotent. A
 * token that no verifier accepts is not an error, because nothing is left to revoke (RFC 7009 section 2.2).
 *
 * Success means that no verifier accepts the token any more. So a token is also revoked when only this process would
 * refuse it: its key is not known here yet, it is not valid yet by this clock, or its audience is not configured here.
 *
 * @returns whether anything was revoked; the response does not reveal it
 * @throws Rejected `store-unavailable`, `trust-stale` while the keys cannot be read, `server-overloaded`,
 *   `credential-not-allowed` for all sessions with an API key or a token that was exchanged, `field-invalid` for a token without `jti` and `sid`, which cannot be revoked (RFC 7009 section 2.2.1, unsupported_token_type)
 */
export async function revokeToken(
  dependencies: RevokeDependencies,
  input: { readonly token: string; readonly allSessions: boolean },
  call: OperationCall,
): Promise<boolean> {
  const { database, sessionLimiter, trust } = dependencies;
  if (looksLikeApiKey(input.token)) {
    if (input.allSessions) throw new Rejected({ kind: 'credential-not-allowed' });
    return endApiKey(dependencies, input.token, call);
  }
  const target = looksLikeRefreshToken(input.token)
    ? await targetOfRefreshToken(dependencies, input.token, call)
    : await targetOfAccessToken(dependencies, input, call);
  if (!target) return false;
  const revokeTarget = () =>
    database.transaction(call, (trx) =>
      target.kind === 'token'
        ? revokeTokenOnly(trx, target.claims, call.origin)
        : endSessionsFor(trx, target, input.allSessions && target.mayEndAll, call.origin),
    );
  const revocations = await (target.kind === 'token'
    ? revokeTarget()
    : sessionLimiter.run(target.sessionId, revokeTarget));
  trust.revoke(revocations);
  return revocations.length > 0;
}

/** A guessed key costs no statement: an unknown one may only be newer than the last refresh. */
async function endApiKey(
  dependencies: RevokeDependencies,
  key: string,
  call: OperationCall,
): Promise<boolean> {
  const { apiKeys, nextRefresh } = dependencies;
  let found = apiKeys.find(key);
  if (found === 'unknown') {
    await nextRefresh(call);
    found = apiKeys.find(key);
  }
  if (typeof found === 'string') return false;
  return (await revokePresentedApiKey(dependencies, { key, actor: null }, call)) !== null;
}

async function targetOfRefreshToken(
  { database, refreshTokens, policy }: RevokeDependencies,
  text: string,
  call: OperationCall,
): Promise<RevocationTarget | null> {
  const presented = parseRefreshToken(text);
  if (!presented || !refreshTokens().mayBeGenuine(presented)) return null;
  const { sessionId } = presented;
  const session = await database.run(call, (db) => findSession(db, sessionId));
  if (!session || !refreshTokens().isGenuine(session.nonce, presented)) return null;
  if (!refreshTokens().isNonceOf(session.userId, session.nonce)) return null;
  const limits = { idleMs: policy.idleSeconds * 1000, graceMs: policy.graceSeconds * 1000 };
  const { kind } = decideRefresh(session, presented.generation, session.nowMs, limits);
  // An old refresh token may have been stolen. It ends only its own session, so that a thief cannot log its owner out
  // everywhere.
  const mayEndAll = kind === 'rotate' || kind === 'repeat';
  return { kind: 'session', sessionId, userId: session.userId, mayEndAll, tokenExpiresAtSeconds: null };
}

async function targetOfAccessToken(
  dependencies: RevokeDependencies,
  { token, allSessions }: { readonly token: string; readonly allSessions: boolean },
  call: OperationCall,
): Promise<RevocationTarget | null> {
  const { trust, nowMs } = dependencies;
  const claims = await claimsOf(dependencies, token, call);
  if (claims === null) return null;
  const { sessionId, tokenId, subject, expiresAtSeconds } = claims;
  const untilSeconds = revocationExpiryOf(expiresAtSeconds);
  // A verifier with another clock may accept the token after its expiry here, but not after its revocation would expire.
  if (untilSeconds <= nowMs() / 1000 || trust.isRevokedUntil(claims, untilSeconds)) return null;
  if (tokenId === null && (sessionId === null || isDerived(claims))) throw notRevocable();
  // Every service that a narrower token passes through could otherwise log its user out.
  if (isDerived(claims) && allSessions) throw notOfSession(claims);
  if (sessionId === null || isDerived(claims)) return { kind: 'token', claims };
  const hasExpired = expiresAtSeconds + DEFAULT_SKEW_SECONDS <= nowMs() / 1000;
  // A thief may hold an expired or revoked token long after the logout. It must not log its owner out everywhere.
  const mayEndAll = !hasExpired && !trust.isRevoked(claims);
  const tokenExpiresAtSeconds = expiresAtSeconds;
  return { kind: 'session', sessionId, userId: subject, mayEndAll, tokenExpiresAtSeconds };
}

/** A token of an unknown key may be junk or of a key that is new: only a refresh of the keys can tell. */
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
  allSessions: boolean,
  origin: CallOrigin,
): Promise<Revocation[]> {
  const { sessionId, userId, tokenExpiresAtSeconds } = target;
  if (allSessions && isUuid(userId)) await lockUser(trx, userId);
  const selector = allSessions && isUuid(userId) ? { userId } : { sessionId };
  let ended = isUuid(sessionId) ? await endSessions(trx, selector, 'revoked') : [];
  if (tokenExpiresAtSeconds !== null) {
    // A token that another program signed with the shared secret may name a session that is not in the table, or expire
    // later than the tokens that Postern issued for the session.
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
    ...(allSessions && { details: { sessions: ended.map(({ id }) => id) } }),
  };
  await insertAuditEvent(trx, { event, origin });
  return ended;
}

/**
 * For the token of a service account, one that was exchanged for another one, or a token without `sid` of a program that
 * signs with a shared or legacy secret.
 */
async function revokeTokenOnly(
  trx: Transaction,
  { tokenId, subject, subjectType, actor, expiresAtSeconds }: VerifiedClaims,
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
    actor: { type: subjectType, id: subject },
    target: { type: 'token', id: tokenId },
    ...(actor !== null && { details: { actors: actorsOf(actor).map(({ subject: id }) => id) } }),
  };
  await insertAuditEvent(trx, { event, origin });
  return [revocation];
}

/** Expiry of a revocation, Unix time. By then the token has expired by every clock within the supported skew. */
function revocationExpiryOf(tokenExpiresAtSeconds: number): number {
  return tokenExpiresAtSeconds + REVOCATION_MARGIN_SECONDS;
}

function notOfSession({ subject: id, subjectType: type }: VerifiedClaims): Rejected {
  return new Rejected({ kind: 'credential-not-allowed', caller: { type, id } });
}

function notRevocable(): Rejected {
  const description =
    'has neither jti nor sid and cannot be revoked: it stays valid until it expires or its signing secret is removed';
  return new Rejected({ kind: 'field-invalid', violations: [{ field: 'token', description }] });
}
