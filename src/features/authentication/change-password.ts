import {
  type Authentication,
  authenticationOf,
  passwordAuthentication,
} from '../../domain/claims/authentication.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import type { Caller } from '../../domain/caller.ts';
import type { Email } from '../users/email.ts';
import { type FieldRules, isUuid, requireValid, unrestricted } from '../../domain/validation.ts';
import { normalisePassword, passwordToCheckAtLogin } from '../../passwords/password-policy.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Transaction } from '../../database/database.ts';
import { deletePasswordReset } from '../users/password-reset-queries.ts';
import type { Queryable } from '../sessions/open-session.ts';
import { sessionEnded } from '../sessions/session-ended.ts';
import { endSessions, findSession, hasEnded, type SessionRecord } from '../sessions/session-queries.ts';
import { findLoginRecordById, setPasswordHash } from '../users/user-queries.ts';
import type { IssuedTokens } from '../sessions/access-token-issuer.ts';
import { checkPassword, type CheckPasswordDependencies } from './check-password.ts';
import { completeLogin, type CompleteLoginDependencies } from './complete-login.ts';
import { invalidCredentials } from './login-verdict.ts';
import {
  passwordUnchanged,
  type PasswordTools,
  validateNewPassword,
} from '../users/validate-new-password.ts';

export interface PasswordChange {
  readonly currentPassword: string;
  readonly newPassword: string;
}

export interface ChangePasswordDependencies extends CheckPasswordDependencies, CompleteLoginDependencies {
  readonly passwords: PasswordTools;
  /** Audience of the caller's token, and of the new session. */
  readonly apiAudience: string;
}

const rules: FieldRules<PasswordChange> = {
  currentPassword: passwordToCheckAtLogin,
  newPassword: unrestricted,
};

/**
 * Sets a new password for a user who knows the current one, ends all of the user's sessions, deletes a pending reset and
 * opens a new session for the audience of the token, in one transaction (L16). A stolen access token alone does not
 * suffice. Wrong passwords count in the login throttle. A user with a second factor needs a token of level `aal2`, and the new session ends
 * when the one of the token would have: a password alone prolongs no level that a factor gave.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `step-up-required`, `password-policy`, `token-refused` (the session has
 *   ended), `login-rate-limited`, `store-unavailable`, `server-overloaded`, `conflict`, `trust-stale` (there is no signing key;
 *   nothing was changed)
 */
export async function changePassword(
  dependencies: ChangePasswordDependencies,
  { caller, ...passwords }: PasswordChange & { readonly caller: Caller },
  call: OperationCall,
): Promise<IssuedTokens> {
  requireValid(rules, passwords);
  const { database, apiAudience: audience } = dependencies;
  const { id: userId } = caller;
  const user = isUuid(userId) ? await database.run(call, (db) => findLoginRecordById(db, userId)) : null;
  if (!user) throw new Rejected(invalidCredentials('unknown-user', userId).refusal);
  const { email } = user;
  const attempt = { email, password: passwords.currentPassword, userId, delaysRefusal: false };
  const verdict = await checkPassword(dependencies, attempt, call, async (checked) => {
    const passwordHash = await validateAndHash(dependencies, { ...passwords, email }, call);
    const change = async (trx: Transaction, newSessionId: string) => {
      requireLive(await sessionOf(trx, caller));
      await setPasswordHash(trx, userId, passwordHash);
      await deletePasswordReset(trx, userId);
      return endSessions(trx, { userId, exceptSessionId: newSessionId }, 'password-changed');
    };
    const authentication = authenticationAfter(caller, dependencies.nowMs());
    const completion = {
      ...checked,
      audience,
      authentication,
      lifetimeSeconds: authentication.acr === 'aal2' ? await secondsLeft(dependencies, caller, call) : null,
      action: 'password.change',
      strongerHash: null,
      change,
    } as const;
    return completeLogin(dependencies, completion, call);
  });
  if (!verdict.ok) throw new Rejected(verdict.refusal);
  return verdict.value;
}

/**
 * The session of a caller who has proven a second factor keeps the level, and the time of that proof: the password alone does not
 * make it any fresher.
 */
function authenticationAfter({ claims }: Caller, nowMs: number): Authentication {
  const current = claims && authenticationOf(claims);
  return current?.acr === 'aal2' ? current : passwordAuthentication(nowMs / 1000);
}

/** Called only after the current password was right. */
async function validateAndHash(
  { passwords }: Pick<ChangePasswordDependencies, 'passwords'>,
  { currentPassword, newPassword, email }: PasswordChange & { readonly email: Email },
  call: OperationCall,
): Promise<string> {
  // The same caller sent both, so a comparison that takes variable time reveals nothing.
  if (normalisePassword(newPassword) === normalisePassword(currentPassword)) throw passwordUnchanged();
  // The violations depend on the user's e-mail, which is not in the token: whoever stole the token must not learn it.
  await validateNewPassword(passwords, { password: newPassword, email, field: 'new_password' });
  return passwords.hasher.hash(newPassword, call);
}

/** Null for a token that another program signed with the shared secret, which may name a session that is not in the table. */
async function sessionOf(db: Queryable, { sessionId }: Caller): Promise<SessionRecord | null> {
  return sessionId !== null && isUuid(sessionId) ? findSession(db, sessionId) : null;
}

/** Until the absolute end of the caller's session. */
async function secondsLeft(
  { database }: Pick<ChangePasswordDependencies, 'database'>,
  caller: Caller,
  call: OperationCall,
): Promise<number | null> {
  const session = await database.run(call, (db) => sessionOf(db, caller));
  return session && Math.max(0, (session.expiresAtMs - session.nowMs) / 1000);
}

/** Detects a session that another instance has ended before its revocation has reached this process, and one that has expired. */
function requireLive(session: SessionRecord | null): void {
  if (session !== null && hasEnded(session)) throw sessionEnded();
}
