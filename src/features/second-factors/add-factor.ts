import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { Caller } from '../../domain/caller.ts';
import { raisedAuthentication } from '../../domain/claims/authentication.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import type { Secret } from '../../domain/secret.ts';
import type { SecretDigests } from '../../crypto/keyed-digests.ts';
import type { Database, Transaction } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { IssuedTokens } from '../sessions/access-token-issuer.ts';
import { issueRaised, raiseSession, type RaiseSessionDependencies } from '../sessions/raise-session.ts';
import { endSessions } from '../sessions/session-queries.ts';
import { type AuthorizedChange, authorizeFactorChange } from './authorize-factor-change.ts';
import { type Factor, MAX_FACTORS_PER_USER } from './factor.ts';
import { issueRecoveryCodes } from './recovery-codes/recovery-codes.ts';

export interface AddFactorDependencies extends RaiseSessionDependencies {
  readonly database: Database;
  readonly digests: SecretDigests;
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
  const { database, trust, issuer, digests, nowMs } = dependencies;
  const { revocations, session, ...added } = await database.transaction(call, async (trx) => {
    const change = await authorizeFactorChange(trx, caller, nowMs());
    const { user, sessionId, factors } = change;
    requireRoomForFactor(factors);
    const { factor, amr } = await confirm(trx, change);
    const actor = { type: 'user', id: user.id } as const;
    const addition = { userId: user.id, factor, earlierFactors: factors, keptSessionId: sessionId, actor };
    const completed = await completeFactor(trx, digests, addition, call);
    const authentication = raisedAuthentication(caller.claims?.amr ?? [], amr, nowMs() / 1000);
    const raise = { sessionId, userId: user.id, authentication };
    return { factor, ...completed, session: await raiseSession(trx, dependencies, raise) };
  });
  trust.revoke(revocations);
  return { ...added, tokens: await issueRaised(issuer, session) };
}

/** @throws Rejected `factor-limit-reached` */
export function requireRoomForFactor(factors: number): void {
  if (factors >= MAX_FACTORS_PER_USER)
    throw new Rejected({ kind: 'factor-limit-reached', max: MAX_FACTORS_PER_USER });
}

/**
 * What follows from a new factor, in its transaction and under the lock on the user, whoever added it: recovery codes with the first
 * one, the end of other sessions, and the audit event.
 */
export async function completeFactor(
  trx: Transaction,
  digests: SecretDigests,
  addition: {
    readonly userId: string;
    readonly factor: Factor;
    /** How many the user had. */
    readonly earlierFactors: number;
    /** Null to end all sessions. */
    readonly keptSessionId: string | null;
    readonly actor: AuditActor;
  },
  call: OperationCall,
): Promise<{ readonly recoveryCodes: readonly Secret[]; readonly revocations: readonly Revocation[] }> {
  const { userId, factor, earlierFactors, keptSessionId, actor } = addition;
  const recoveryCodes = earlierFactors === 0 ? await issueRecoveryCodes(trx, digests, userId) : [];
  const ending = keptSessionId === null ? { userId } : { userId, exceptSessionId: keptSessionId };
  const revocations = await endSessions(trx, ending, 'factor-added');
  const event: AuditEvent = {
    action: 'factor.add',
    outcome: 'ok',
    actor,
    target: { type: 'factor', id: factor.id },
    details: { user: userId, kind: factor.kind, ended_sessions: revocations.length },
  };
  await insertAuditEvent(trx, { event, origin: call.origin });
  return { recoveryCodes, revocations };
}
