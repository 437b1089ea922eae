import type { Transaction } from '../../database/database.ts';
import type { Authentication } from '../../domain/claims/authentication.ts';
import type { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import type { AccessTokenIssuer, IssuedTokens } from './access-token-issuer.ts';
import { updateAuthentication } from './raise-session-queries.ts';
import { sessionEnded } from './session-ended.ts';

export interface RaiseSessionDependencies {
  readonly issuer: AccessTokenIssuer;
  readonly authentications: () => SessionAuthentications;
}

/** A session whose user has given a fresh proof, with what a token of it needs. */
export interface RaisedSession {
  readonly sessionId: string;
  readonly userId: string;
  readonly authentication: Authentication;
  readonly roles: readonly string[];
  readonly externalId: string | null;
  readonly audience: string;
}

/**
 * Stores how the user of a session has proven anew who they are. It takes the lock on the user's row, unless the transaction
 * has it already, and so agrees with whoever adds or deletes a factor. Whatever it throws rolls the transaction back, so that no proof
 * is used up and nobody loses recovery codes for a token that cannot be issued.
 *
 * @throws Rejected `token-refused` (the session has ended, or the user is disabled), `claims-too-long`, `trust-stale`
 */
export async function raiseSession(
  trx: Transaction,
  { issuer, authentications }: RaiseSessionDependencies,
  raise: Pick<RaisedSession, 'sessionId' | 'userId' | 'authentication'>,
): Promise<RaisedSession> {
  const { sessionId, userId, authentication } = raise;
  const found = await updateAuthentication(trx, {
    sessionId,
    userId,
    stored: authentications().toStored(sessionId, userId, authentication),
    accessTokenSeconds: issuer.lifetimeSeconds,
  });
  if (found === null) throw sessionEnded();
  issuer.requireRoom(found);
  return { sessionId, userId, authentication, ...found };
}

/**
 * Issues the access token of a raised session. Its client keeps the refresh token that it has: a new generation here would make
 * the one that another tab refreshes with at this moment look stolen.
 *
 * @throws Rejected `trust-stale`
 */
export async function issueRaised(issuer: AccessTokenIssuer, session: RaisedSession): Promise<IssuedTokens> {
  const { token, expiresInSeconds } = await issuer.issueToUser(session);
  const { sessionId, userId } = session;
  const noRefreshToken = { refreshToken: '', refreshExpiresInSeconds: 0 };
  return { accessToken: token, expiresInSeconds, ...noRefreshToken, sessionId, userId };
}
