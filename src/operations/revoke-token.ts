import type { AuditEvent } from '../domain/audit-event.ts';
import type { CallOrigin, OperationCall } from '../domain/call-origin.ts';
import { isUuid } from '../domain/field-rules.ts';
import type { VerifiedClaims } from '../domain/claims.ts';
import { decideRefresh } from '../domain/refresh-decision.ts';
import type { Revocation, RevocationKind } from '../domain/revocation-set.ts';
import { insertAuditEvent } from '../store/audit-events.ts';
import type { Database, Transaction } from '../store/database.ts';
import { insertRevocation, REVOCATION_MARGIN_SECONDS } from '../store/revocations.ts';
import { endSessions, findSession } from '../store/sessions.ts';
import { lockUser } from '../store/users.ts';
import { looksLikeRefreshToken, parseRefreshToken, type RefreshTokens } from '../tokens/refresh-token.ts';
import type { TokenVerifier } from '../tokens/token-verifier.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import type { SessionPolicy } from './session-policy.ts';
import type { Turns } from './turns.ts';

export interface RevokeDependencies {
  readonly database: Database;
  readonly verifier: TokenVerifier;
  readonly refreshTokens: () => RefreshTokens;
  readonly policy: SessionPolicy;
  readonly turns: Turns;
  readonly trust: TrustBundle;
}

/** Whom a presented token lets its holder log out. */
type Holder =
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
 * about a token that is not good: it has nothing left to end (RFC 7009 section 2.2).
 *
 * @returns whether anything ended, which the caller is not told
 * @throws Rejected `store-unavailable`
 */
export async function revokeToken(
  dependencies: RevokeDependencies,
  input: { readonly token: string; readonly allSessions: boolean },
  call: OperationCall,
): Promise<boolean> {
  const { database, turns, trust } = dependencies;
  const holder = looksLikeRefreshToken(input.token)
    ? await holderOfRefreshToken(dependencies, input.token, call)
    : await holderOfAccessToken(dependencies, input.token);
  if (!holder) return false;
  const end = () =>
    database.transaction(call, (trx) =>
      holder.kind === 'token'
        ? revokeAlone(trx, holder.claims, call.origin)
        : endFor(trx, holder, input.allSessions && holder.mayEndAll, call.origin),
    );
  const ended = await (holder.kind === 'token' ? end() : turns.take(holder.sessionId, end));
  trust.revoke(ended);
  return ended.length > 0;
}

async function holderOfRefreshToken(
  { database, refreshTokens, policy }: RevokeDependencies,
  text: string,
  call: OperationCall,
): Promise<Holder | null> {
  const presented = parseRefreshToken(text);
  if (!presented) return null;
  const { sessionId } = presented;
  const session = await database.run(call, (db) => findSession(db, sessionId));
  if (!session || !refreshTokens().isGenuine(session.nonce, presented)) return null;
  const limits = { idleMs: policy.idleSeconds * 1000, graceMs: policy.graceSeconds * 1000 };
  const { kind } = decideRefresh(session, presented.generation, session.nowMs, limits);
  // An old token may only end what it belonged to: its holder may be a thief who would log the owner out everywhere.
  const mayEndAll = kind === 'rotate' || kind === 'repeat';
  return { kind: 'session', sessionId, userId: session.userId, mayEndAll, tokenExpiresAtSeconds: null };
}

async function holderOfAccessToken({ verifier }: RevokeDependencies, text: string): Promise<Holder | null> {
  const verdict = await verifier.verify(text);
  if (!verdict.ok) return null;
  const { claims } = verdict;
  if (claims.sessionId === null) return { kind: 'token', claims };
  return {
    kind: 'session',
    sessionId: claims.sessionId,
    userId: claims.subject,
    mayEndAll: true,
    tokenExpiresAtSeconds: claims.expiresAtSeconds,
  };
}

async function endFor(
  trx: Transaction,
  holder: Extract<Holder, { kind: 'session' }>,
  all: boolean,
  origin: CallOrigin,
): Promise<Revocation[]> {
  const { sessionId, userId, tokenExpiresAtSeconds } = holder;
  if (all && isUuid(userId)) await lockUser(trx, userId);
  const choice = all && isUuid(userId) ? { userId } : { sessionId };
  const ended = isUuid(sessionId) ? await endSessions(trx, choice, 'revoked') : [];
  // A token that another program signed with the shared secret names a session that is not in our table.
  if (tokenExpiresAtSeconds !== null && !ended.some(({ id }) => id === sessionId)) {
    ended.push(revocationUntil('sid', sessionId, tokenExpiresAtSeconds));
    await insertRevocation(trx, revocationUntil('sid', sessionId, tokenExpiresAtSeconds));
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

/** For a service account's token; one without `jti`, as HS256 allows it, cannot be told from its likes. */
async function revokeAlone(
  trx: Transaction,
  { tokenId, subject, expiresAtSeconds }: VerifiedClaims,
  origin: CallOrigin,
): Promise<Revocation[]> {
  if (tokenId === null) return [];
  const revocation = revocationUntil('jti', tokenId, expiresAtSeconds);
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

function revocationUntil(kind: RevocationKind, id: string, tokenExpiresAtSeconds: number): Revocation {
  return { kind, id, expiresAtSeconds: Math.ceil(tokenExpiresAtSeconds) + REVOCATION_MARGIN_SECONDS };
}
