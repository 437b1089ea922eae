import type { AuditEvent } from '../../domain/audit-event.ts';
import type { Caller } from '../../domain/caller.ts';
import { raisedAuthentication } from '../../domain/claims/authentication.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import type { Secret } from '../../domain/secret.ts';
import type { SecretDigests } from '../../crypto/keyed-digests.ts';
import type { Database, Transaction } from '../../database/database.ts';
import type { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import { issueRaised, type RaisedSession, raiseSession } from '../sessions/raise-session.ts';
import { endSessions } from '../sessions/session-queries.ts';
import { type AuthorizedChange, authorizeFactorChange, sessionEnded } from './authorize-factor-change.ts';
import { type Factor, MAX_FACTORS_PER_USER } from './factor.ts';
import { issueRecoveryCodes } from './recovery-codes/recovery-codes.ts';

export interface AddFactorDependencies {
  readonly database: Database;
  readonly digests: SecretDigests;
  readonly issuer: AccessTokenIssuer;
  readonly authentications: () => SessionAuthentications;
  readonly trust: Pick<TrustBundle, 'revoke'>;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/** A factor that was added, with what its user gets. */
export interface AddedFactor {
  readonly factor: Factor;
  /** Empty unless it is the user's first factor. */
  readonly recoveryCodes: readonly Secret[];
  /** Without a refresh token: the client keeps the one that it has. */
  readonly tokens: IssuedTokens;
}

/** What `confirm` of `addFactor` has stored. */
export interface ConfirmedFactor {
  readonly factor: Factor;
  /** The methods of the proof that confirmed it, for `amr`. */
  readonly amr: readonly string[];
}

/**
 * Adds a factor to the calling user, in one transaction: the last step of ConfirmFactor and FinishPasskeyRegistration. The session of the
 * caller reaches level `aal2`, since it has just used the factor. All other sessions of the user end: one that
 * somebody else opened with the password would otherwise live on beside the new factor. The first factor comes with recovery codes.
 *
 * @param confirm checks the factor and stores it as confirmed, under the lock on the user
 * @throws Rejected `step-up-required`, `token-refused`, `factor-limit-reached`, `claims-too-long`, `store-unavailable`, and any
 *   error of `confirm`; nothing was changed then
 */
export async function addFactor(
  dependencies: AddFactorDependencies,
  caller: Caller,
  confirm: (trx: Transaction, change: AuthorizedChange) => Promise<ConfirmedFactor>,
  call: OperationCall,
): Promise<AddedFactor> {
  const { database, trust, issuer, nowMs } = dependencies;
  const { revocations, session, ...added } = await database.transaction(call, async (trx) => {
    const change = await authorizeFactorChange(trx, caller, nowMs());
    requireRoomForFactor(change.factors);
    const confirmed = await confirm(trx, change);
    const amr = caller.claims?.amr ?? [];
    return completeFactor(trx, dependencies, { ...change, ...confirmed, sessionAmr: amr }, call);
  });
  trust.revoke(revocations);
  return { ...added, tokens: await issueRaised(issuer, session) };
}

/** @throws Rejected `factor-limit-reached` */
export function requireRoomForFactor(factors: number): void {
  if (factors >= MAX_FACTORS_PER_USER)
    throw new Rejected({ kind: 'factor-limit-reached', max: MAX_FACTORS_PER_USER });
}

/** What follows from a new factor, in its transaction and under the lock on the user. */
async function completeFactor(
  trx: Transaction,
  { digests, issuer, authentications, nowMs }: AddFactorDependencies,
  added: AuthorizedChange & ConfirmedFactor & { readonly sessionAmr: readonly string[] },
  call: OperationCall,
): Promise<{
  readonly factor: Factor;
  readonly recoveryCodes: readonly Secret[];
  readonly revocations: readonly Revocation[];
  readonly session: RaisedSession;
}> {
  const { factor, factors, sessionId, amr, sessionAmr } = added;
  const userId = added.user.id;
  const recoveryCodes = factors === 0 ? await issueRecoveryCodes(trx, digests, userId) : [];
  const revocations = await endSessions(trx, { userId, exceptSessionId: sessionId }, 'factor-added');
  const authentication = raisedAuthentication(sessionAmr, amr, nowMs() / 1000);
  const raise = { sessionId, userId, authentication, accessTokenSeconds: issuer.lifetimeSeconds };
  const session = await raiseSession(trx, authentications(), raise);
  if (session === null) throw sessionEnded();
  // Before the commit: a user without the token would have lost the recovery codes as well.
  issuer.requireRoom(session);
  const event: AuditEvent = {
    action: 'factor.add',
    outcome: 'ok',
    actor: { type: 'user', id: userId },
    target: { type: 'factor', id: factor.id },
    details: { user: userId, kind: factor.kind, ended_sessions: revocations.length },
  };
  await insertAuditEvent(trx, { event, origin: call.origin });
  return { factor, recoveryCodes, revocations, session };
}
