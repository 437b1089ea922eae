import type { Transaction } from '../../database/database.ts';
import type { Authentication } from '../../domain/claims/authentication.ts';
import type { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import type { AccessTokenIssuer, IssuedTokens } from './access-token-issuer.ts';
import { updateAuthentication } from './raise-session-queries.ts';

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
 * has it already, and so agrees with whoever adds or deletes a factor.
 *
 * @param raise.accessTokenSeconds the lifetime of the token that is issued next, which a revocation of the session must outlive
 * @returns null when the session has ended or the user is disabled; nothing was changed then
 */
export async function raiseSession(
  trx: Transaction,
  authentications: SessionAuthentications,
  raise: {
    readonly sessionId: string;
    readonly userId: string;
    readonly authentication: Authentication;
    readonly accessTokenSeconds: number;
  },
): Promise<RaisedSession | null> {
  const { sessionId, userId, authentication, accessTokenSeconds } = raise;
  const stored = authentications.toStored(sessionId, userId, authentication);
  const found = await updateAuthentication(trx, { sessionId, userId, stored, accessTokenSeconds });
  return found && { sessionId, userId, authentication, ...found };
}

/**
 * Issues the access token of a raised session. Its client keeps the refresh token that it has: a new generation here would make
 * the one that another tab refreshes with at this moment look stolen.
 *
 * @throws Rejected `claims-too-long`, `trust-stale`
 */
export async function issueRaised(
  issuer: AccessTokenIssuer,
  { sessionId, userId, ...session }: RaisedSession,
): Promise<IssuedTokens> {
  issuer.requireRoom(session);
  const { token, expiresInSeconds } = await issuer.issueToUser({ ...session, sessionId, userId });
  const noRefreshToken = { refreshToken: '', refreshExpiresInSeconds: 0 };
  return { accessToken: token, expiresInSeconds, ...noRefreshToken, sessionId, userId };
}
