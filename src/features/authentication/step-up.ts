import type { AuditEvent } from '../../domain/audit-event.ts';
import type { Caller } from '../../domain/caller.ts';
import {
  type Authentication,
  passwordAuthentication,
  raisedAuthentication,
} from '../../domain/claims/authentication.ts';
import { type OperationCall, withoutCancellation } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { isUuid, nested, requireValid } from '../../domain/validation.ts';
import type { Transaction } from '../../database/database.ts';
import { passwordToCheckAtLogin } from '../../passwords/password-policy.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { IssuedTokens } from '../sessions/access-token-issuer.ts';
import type { ForgivenAttempt } from '../sessions/open-session-queries.ts';
import {
  issueRaised,
  type RaisedSession,
  raiseSession,
  type RaiseSessionDependencies,
} from '../sessions/raise-session.ts';
import { sessionEnded } from '../sessions/session-ended.ts';
import { presentedCode } from '../second-factors/factor.ts';
import { passkeyAnswerRules } from '../second-factors/passkeys/passkey-answer.ts';
import { listSecondFactorNames } from '../second-factors/factor-queries.ts';
import {
  requireSecondFactor,
  type SecondFactorDependencies,
  type SecondFactorProof,
} from '../second-factors/second-factor-proof.ts';
import type { Email } from '../users/email.ts';
import { findLoginRecordById, lockUser } from '../users/user-queries.ts';
import { type CheckedPassword, checkPassword, type CheckPasswordDependencies } from './check-password.ts';
import { type EvaluatedLogin, invalidCredentials, type LoginVerdict } from './login-verdict.ts';
import { forgiveAttempt } from './throttle/throttle-queries.ts';

/** A fresh proof of the user of a session: the password, for a user without a second factor, or a second factor. */
export type StepUpProof = { readonly kind: 'password'; readonly password: string } | SecondFactorProof;

export interface StepUpDependencies
  extends CheckPasswordDependencies, SecondFactorDependencies, RaiseSessionDependencies {}

interface SteppingUp {
  readonly userId: string;
  readonly email: Email;
  readonly sessionId: string;
  /** `amr` of the caller's token. */
  readonly amr: readonly string[];
}

/**
 * Raises or renews the session of the calling user by a fresh proof, and returns a new access token of it with the roles that the
 * user has now. Wrong proofs count in the login throttle, and wrong codes as in Login.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `second-factor-required` (the password of a user who has a second
 *   factor), `second-factor-invalid`, `passkey-invalid`, `token-refused` (the session has ended), `login-rate-limited`,
 *   `claims-too-long`, `passkeys-disabled`, `trust-stale`, `store-unavailable`, `server-overloaded`
 */
export async function stepUp(
  dependencies: StepUpDependencies,
  { proof, caller }: { readonly proof: StepUpProof; readonly caller: Caller },
  call: OperationCall,
): Promise<IssuedTokens> {
  requireValidProof(dependencies, proof);
  const { id: userId, sessionId, claims } = caller;
  const isOwnSession = sessionId !== null && isUuid(sessionId) && isUuid(userId);
  const user = isOwnSession
    ? await dependencies.database.run(call, (db) => findLoginRecordById(db, userId))
    : null;
  if (!user || !isOwnSession) throw sessionEnded();
  const steppingUp = { userId, email: user.email, sessionId, amr: claims?.amr ?? [] };
  const verdict =
    proof.kind === 'password'
      ? await renewByPassword(dependencies, steppingUp, proof.password, call)
      : await raiseBySecondFactor(dependencies, steppingUp, proof, call);
  if (!verdict.ok) throw new Rejected(verdict.refusal);
  return issueRaised(dependencies.issuer, verdict.value);
}

/** @throws Rejected `field-invalid`, `passkeys-disabled` */
function requireValidProof({ passkeys }: Pick<StepUpDependencies, 'passkeys'>, proof: StepUpProof): void {
  if (proof.kind === 'password')
    requireValid({ password: passwordToCheckAtLogin }, { password: proof.password });
  else if (proof.kind === 'code') requireValid({ code: presentedCode }, { code: proof.code });
  else {
    requireValid({ passkey: nested(passkeyAnswerRules) }, { passkey: proof.answer });
    passkeys.relyingParty();
  }
}

/** The password proves nothing that a session below `aal2` did not have, so it cannot raise the session of a user with a factor. */
function renewByPassword(
  dependencies: StepUpDependencies,
  steppingUp: SteppingUp,
  password: string,
  call: OperationCall,
): Promise<LoginVerdict<RaisedSession>> {
  const { userId, email } = steppingUp;
  const { database, nowMs } = dependencies;
  const attempt = { email, password, userId, delaysRefusal: false };
  return checkPassword(dependencies, attempt, call, async ({ user, forgiven }) =>
    database.transaction(call, async (trx) => {
      const verdict = await compareAgain(trx, user);
      if (verdict !== null) return verdict;
      const factors = await listSecondFactorNames(trx, userId);
      const subject = { target: { type: 'user', id: userId } } as const;
      if (factors.length > 0) throw new Rejected({ kind: 'second-factor-required', factors, subject });
      const authentication = passwordAuthentication(nowMs() / 1000);
      const session = await raise(trx, dependencies, { ...steppingUp, authentication, forgiven }, call);
      return { ok: true, value: session };
    }),
  );
}

/** The password was compared without a lock. */
async function compareAgain(
  trx: Transaction,
  { id, passwordHash }: CheckedPassword['user'],
): Promise<EvaluatedLogin<RaisedSession> | 'hash-changed' | null> {
  const user = await lockUser(trx, id);
  if (user === null || user.disabled) return invalidCredentials(user ? 'disabled' : 'unknown-user', id);
  return user.passwordHash === passwordHash ? null : 'hash-changed';
}

function raiseBySecondFactor(
  dependencies: StepUpDependencies,
  steppingUp: SteppingUp,
  proof: SecondFactorProof,
  call: OperationCall,
): Promise<LoginVerdict<RaisedSession>> {
  const { userId, email, amr } = steppingUp;
  const { throttle, database, nowMs } = dependencies;
  return throttle.guard({ email, address: call.origin.address }, call, ({ forgiven }) =>
    // Without cancellation: the caller could otherwise cause a wrong code that is evaluated and not counted.
    database.transaction(withoutCancellation(call), async (trx) => {
      const user = await lockUser(trx, userId);
      if (user === null || user.disabled) throw sessionEnded();
      const proven = await requireSecondFactor(trx, dependencies, { userId, proof }, call);
      if (!proven.ok) return proven;
      const authentication = raisedAuthentication(amr, proven.value.amr, nowMs() / 1000);
      const session = await raise(trx, dependencies, { ...steppingUp, authentication, forgiven }, call);
      return { ok: true, value: session };
    }),
  );
}

async function raise(
  trx: Transaction,
  dependencies: StepUpDependencies,
  steppingUp: SteppingUp & { readonly authentication: Authentication; readonly forgiven: ForgivenAttempt },
  call: OperationCall,
): Promise<RaisedSession> {
  const { userId, sessionId, authentication, forgiven } = steppingUp;
  const session = await raiseSession(trx, dependencies, { sessionId, userId, authentication });
  const { acr, amr } = authentication;
  const event: AuditEvent = {
    action: 'session.step-up',
    outcome: 'ok',
    actor: { type: 'user', id: userId },
    target: { type: 'session', id: sessionId },
    details: { acr, amr },
  };
  await insertAuditEvent(trx, { event, origin: call.origin });
  await forgiveAttempt(trx, forgiven);
  return session;
}
