import type { OperationCall } from '../../domain/operation-call.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import type { Database, Transaction } from '../../database/database.ts';
import type { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import { openSession } from '../sessions/open-session.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';
import { lockUser, type LoginRecord } from '../users/user-queries.ts';
import { type EvaluatedLogin, invalidCredentials } from './login-verdict.ts';

export interface CompleteLoginDependencies {
  readonly database: Database;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  readonly policy: SessionPolicy;
  readonly trust: TrustBundle;
}

export interface LoginCompletion {
  /** The user as read for the check of the credential. */
  readonly user: LoginRecord;
  readonly audience: string;
  /** Action in the audit trail. */
  readonly action: 'login' | 'password.change';
  /** Runs in the transaction of the login, under the lock, before the session opens. Returns its revocations. */
  readonly change: (trx: Transaction) => Promise<readonly Revocation[]>;
}

/**
 * Opens a session for a user whose credential was right, and issues its tokens: the last step of every kind of login.
 * The credential was checked without a lock, so the user is compared again under the lock. Otherwise a session could
 * survive a concurrent change of the password or disabling of the user.
 *
 * @returns `hash-changed` when another password hash was stored since the check
 * @throws Rejected `store-unavailable`, `conflict`; before anything is changed `trust-stale` while there is no signing key, and
 *   `claims-too-long`; and any error of `change`
 */
export async function completeLogin(
  dependencies: CompleteLoginDependencies,
  { user, audience, action, change }: LoginCompletion,
  call: OperationCall,
): Promise<EvaluatedLogin<IssuedTokens> | 'hash-changed'> {
  const { database, issuer, refreshTokens, policy, trust } = dependencies;
  issuer.requireSigner();
  const userId = user.id;
  const opened = await database.transaction(call, async (trx) => {
    const locked = await lockUser(trx, userId);
    if (!locked || locked.disabled) return invalidCredentials(locked ? 'disabled' : 'unknown-user', userId);
    if (locked.passwordHash !== user.passwordHash) return 'hash-changed';
    issuer.requireRoom({ ...locked, audience });
    const revoked = await change(trx);
    const opening = { userId, audience, action };
    const session = await openSession(trx, { refreshTokens: refreshTokens(), policy }, opening, call.origin);
    const revocations = [...revoked, ...session.revocations];
    return {
      ok: true,
      value: { ...session, revocations, roles: locked.roles, externalId: locked.externalId },
    } as const;
  });
  if (opened === 'hash-changed' || !opened.ok) return opened;
  const { revocations, sessionId, roles, externalId, refreshToken, refreshExpiresInSeconds } = opened.value;
  trust.revoke(revocations);
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId,
    sessionId,
    externalId,
    roles,
    audience,
  });
  const tokens = { refreshToken, refreshExpiresInSeconds, sessionId, userId };
  return { ok: true, value: { accessToken: token, expiresInSeconds, ...tokens } };
}
