import type { AuditEvent } from '../../domain/audit-event.ts';
import { type OperationCall, withoutCancellation } from '../../domain/operation-call.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import type { Database, Transaction } from '../../database/database.ts';
import type { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import { type Authentication, raisedAuthentication } from '../../domain/claims/authentication.ts';
import type { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import { openSession, type Queryable, type SessionRequest } from '../sessions/open-session.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';
import {
  requireSecondFactor,
  type SecondFactorDependencies,
  type SecondFactorProof,
} from '../second-factors/second-factor-proof.ts';
import type { CheckedPassword } from './check-password.ts';
import { type EvaluatedLogin, invalidCredentials, type SecondFactorRefused } from './login-verdict.ts';

export interface CompleteLoginDependencies extends SecondFactorDependencies {
  readonly database: Database;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  readonly authentications: () => SessionAuthentications;
  readonly policy: SessionPolicy;
  readonly trust: TrustBundle;
}

export interface LoginCompletion extends Pick<CheckedPassword, 'user' | 'forgiven'> {
  readonly audience: string;
  /** How the user has proven who they are so far. Of level `aal2` only when that included a second factor. */
  readonly authentication: Authentication;
  /** Looked at only for a user who has a second factor, below level `aal2`. Default: null, for none. */
  readonly proof?: SecondFactorProof | null;
  readonly action: Extract<AuditEvent['action'], 'login' | 'password.change'>;
  /** The most that the session may live. Default: null, for what the settings say. */
  readonly lifetimeSeconds?: number | null;
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
 * @throws Rejected `second-factor-required`, for a change of the password `step-up-required`; `passkeys-disabled`,
 *   `store-unavailable`, `conflict`; before anything is changed `trust-stale` while there is no signing key, and
 *   `claims-too-long`; and any error of `change`
 */
export async function completeLogin(
  dependencies: CompleteLoginDependencies,
  completion: LoginCompletion,
  call: OperationCall,
): Promise<EvaluatedLogin<IssuedTokens> | 'hash-changed'> {
  const { issuer, trust } = dependencies;
  const { user, audience } = completion;
  issuer.requireRoom({ ...user, audience });
  const opened = await open(dependencies, completion, call);
  switch (opened.outcome) {
    case 'hash-changed':
      return opened.outcome;
    case 'unknown-user':
    case 'disabled':
      return invalidCredentials(opened.outcome, user.id);
    case 'second-factor-required':
      if (completion.action === 'password.change') throw changeNeedsFactor(user.id);
      throw new Rejected({
        kind: 'second-factor-required',
        factors: opened.factors,
        subject: { target: { type: 'user', id: user.id } },
        origin: call.origin,
      });
    case 'second-factor-refused':
      return { ok: false, refusal: opened.refusal };
    case 'opened':
      break;
    default:
      return opened satisfies never;
  }
  const { revocations, sessionId, roles, externalId, refreshToken, refreshExpiresInSeconds } = opened;
  trust.revoke(revocations);
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId: user.id,
    sessionId,
    externalId,
    roles,
    audience,
    authentication: opened.authentication,
  });
  const tokens = { refreshToken, refreshExpiresInSeconds, sessionId, userId: user.id };
  return { ok: true, value: { accessToken: token, expiresInSeconds, ...tokens } };
}

/** The factor may be newer than the token. */
function changeNeedsFactor(userId: string): Rejected {
  const detail =
    'the user has a second factor, so changing the password needs it as well; call StepUp with a code or a passkey';
  return new Rejected({ kind: 'step-up-required', detail, caller: { type: 'user', id: userId } });
}

type Opening =
  | Awaited<ReturnType<typeof openSession>>
  | { readonly outcome: 'second-factor-refused'; readonly refusal: SecondFactorRefused };

async function open(
  dependencies: CompleteLoginDependencies,
  completion: LoginCompletion,
  call: OperationCall,
): Promise<Opening> {
  const { database } = dependencies;
  const { change, proof = null, authentication } = completion;
  const openAt = openingOf(dependencies, completion, call);
  if (change) {
    return database.transaction(call, async (trx) => {
      const session = await openAt(trx, authentication);
      if (session.outcome !== 'opened') return session;
      const revoked = await change(trx, session.sessionId);
      return { ...session, revocations: [...session.revocations, ...revoked] };
    });
  }
  const opened = await database.run(call, (db) => openAt(db, authentication));
  if (opened.outcome !== 'second-factor-required' || proof === null) return opened;
  // Without cancellation: the caller could otherwise cause a wrong code that is evaluated and not counted.
  return database.transaction(withoutCancellation(call), (trx) =>
    proveAndOpen(trx, dependencies, { ...completion, proof, openAt }, call),
  );
}

/** Nothing is used up when the session is refused for another reason: the first refusal holds the lock on the user. */
async function proveAndOpen(
  trx: Transaction,
  dependencies: CompleteLoginDependencies,
  { user, authentication, proof, openAt }: LoginCompletion & ProvenOpening,
  call: OperationCall,
): Promise<Opening> {
  // Again: since the first time the factor may have been deleted, the user disabled or the password changed.
  const withoutProof = await openAt(trx, authentication);
  if (withoutProof.outcome !== 'second-factor-required') return withoutProof;
  const proven = await requireSecondFactor(trx, dependencies, { userId: user.id, proof }, call);
  if (!proven.ok) return { outcome: 'second-factor-refused', refusal: proven.refusal };
  const raised = raisedAuthentication(authentication.amr, proven.value.amr, dependencies.nowMs() / 1000);
  const opened = await openAt(trx, raised);
  // Rolls back, so that the factor is not used up.
  if (opened.outcome !== 'opened') throw new Error('a locked user has changed');
  return opened;
}

type OpenAt = (db: Queryable, authentication: Authentication) => ReturnType<typeof openSession>;

interface ProvenOpening {
  readonly proof: SecondFactorProof;
  readonly openAt: OpenAt;
}

/** Opens the session of a completion at a level. */
function openingOf(
  { refreshTokens, authentications, policy }: CompleteLoginDependencies,
  { user, audience, action, strongerHash, forgiven, lifetimeSeconds }: LoginCompletion,
  call: OperationCall,
): OpenAt {
  const sessionPolicy = {
    ...policy,
    lifetimeSeconds: Math.min(lifetimeSeconds ?? Infinity, policy.lifetimeSeconds),
  };
  return (db, authentication) => {
    const request: SessionRequest = {
      userId: user.id,
      audience,
      authentication,
      action,
      expectedHash: user.passwordHash,
      strongerHash,
      forgiven,
    };
    const making = {
      refreshTokens: refreshTokens(),
      authentications: authentications(),
      policy: sessionPolicy,
    };
    return openSession(db, making, request, call.origin);
  };
}
