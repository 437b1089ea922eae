import type { AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import type { Database, Transaction } from '../../database/database.ts';
import type { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import type { Authentication } from '../../domain/claims/authentication.ts';
import type { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import { openSession, type Queryable, type SessionRequest } from '../sessions/open-session.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';
import type { CheckedPassword } from './check-password.ts';
import { type EvaluatedLogin, invalidCredentials } from './login-verdict.ts';

export interface CompleteLoginDependencies {
  readonly database: Database;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  readonly authentications: () => SessionAuthentications;
  readonly policy: SessionPolicy;
  readonly trust: TrustBundle;
}

export interface LoginCompletion extends Pick<CheckedPassword, 'user' | 'forgiven'> {
  readonly audience: string;
  /** Of level `aal2` only when a second factor of the user was right. */
  readonly authentication: Authentication;
  readonly action: Extract<AuditEvent['action'], 'login' | 'password.change'>;
  /** Replaces the stored hash when the session opens; null to keep it. */
  readonly strongerHash: string | null;
  /** Runs in the transaction of the login after the session opened, under the user's lock. Returns its revocations. */
  readonly change?: (trx: Transaction, sessionId: string) => Promise<readonly Revocation[]>;
}

/**
 * Opens a session for a user whose credential was right, and issues its tokens: the last step of every kind of login.
 * The credential was checked without a lock, so the user is compared again under the lock. Otherwise a session could
 * survive a concurrent change of the password or disabling of the user.
 *
 * @returns `hash-changed` when another password hash was stored since the check
 * @throws Rejected `second-factor-required`, `store-unavailable`, `conflict`; before anything is changed `trust-stale` while there is no signing key, and
 *   `claims-too-long`; and any error of `change`
 */
export async function completeLogin(
  dependencies: CompleteLoginDependencies,
  { user, forgiven, audience, authentication, action, strongerHash, change }: LoginCompletion,
  call: OperationCall,
): Promise<EvaluatedLogin<IssuedTokens> | 'hash-changed'> {
  const { database, issuer, refreshTokens, authentications, policy, trust } = dependencies;
  issuer.requireRoom({ ...user, audience });
  const userId = user.id;
  const request: SessionRequest = {
    userId,
    audience,
    authentication,
    action,
    expectedHash: user.passwordHash,
    strongerHash,
    forgiven,
  };
  const open = (db: Queryable) =>
    openSession(
      db,
      { refreshTokens: refreshTokens(), authentications: authentications(), policy },
      request,
      call.origin,
    );
  const opened = change
    ? await database.transaction(call, async (trx) => {
        const session = await open(trx);
        if (session.outcome !== 'opened') return session;
        const revoked = await change(trx, session.sessionId);
        return { ...session, revocations: [...session.revocations, ...revoked] };
      })
    : await database.run(call, open);
  if (opened.outcome === 'hash-changed') return opened.outcome;
  if (opened.outcome === 'second-factor-required') {
    const { factors } = opened;
    const subject = { target: { type: 'user', id: userId } } as const;
    throw new Rejected({ kind: 'second-factor-required', factors, subject });
  }
  if (opened.outcome !== 'opened') return invalidCredentials(opened.outcome, userId);
  const { revocations, sessionId, roles, externalId, refreshToken, refreshExpiresInSeconds } = opened;
  trust.revoke(revocations);
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId,
    sessionId,
    externalId,
    roles,
    audience,
    authentication,
  });
  const tokens = { refreshToken, refreshExpiresInSeconds, sessionId, userId };
  return { ok: true, value: { accessToken: token, expiresInSeconds, ...tokens } };
}
