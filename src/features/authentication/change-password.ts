import type { OperationCall } from '../../domain/operation-call.ts';
import type { Caller } from '../../domain/caller.ts';
import type { Email } from '../users/email.ts';
import { type FieldRules, isUuid, requireValid, unrestricted } from '../../domain/validation.ts';
import { normalisePassword, passwordToCheckAtLogin } from '../../passwords/password-policy.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Transaction } from '../../database/database.ts';
import { deletePasswordReset } from '../users/password-reset-queries.ts';
import { endSessions, findSession } from '../sessions/session-queries.ts';
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
  /** Of the token that was shown, and so of the new session. */
  readonly apiAudience: string;
}

const rules: FieldRules<PasswordChange> = {
  currentPassword: passwordToCheckAtLogin,
  newPassword: unrestricted,
};

/**
 * Sets another password for a user who knows the present one, ends all of the user's sessions and a pending reset, and
 * opens a new session for the audience of the token, in one transaction (L16). A token alone, stolen perhaps, changes nothing;
 * guesses of the password count as those at Login do.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `password-policy`, `token-refused` (the session has ended),
 *   `login-rate-limited`, `store-unavailable`, `server-overloaded`
 */
export async function changePassword(
  dependencies: ChangePasswordDependencies,
  { caller, ...passwords }: PasswordChange & { readonly caller: Caller },
  call: OperationCall,
): Promise<IssuedTokens> {
  requireValid(rules, passwords);
  const { database, apiAudience: audience } = dependencies;
  const { id: userId } = caller;
  const findUser = async () =>
    isUuid(userId) ? await database.run(call, (db) => findLoginRecordById(db, userId)) : null;
  const known = await findUser();
  if (!known) throw new Rejected(invalidCredentials('unknown-user', userId).refusal);
  const { email } = known;
  const attempt = {
    email,
    password: passwords.currentPassword,
    findUser,
    userId,
    holdsRefusal: false,
  };
  const verdict = await checkPassword(dependencies, attempt, call, async ({ user }) => {
    const passwordHash = await newHash(dependencies, { ...passwords, email: user.email }, call);
    const change = async (trx: Transaction) => {
      await requireLiveSession(trx, caller.sessionId);
      await setPasswordHash(trx, userId, passwordHash);
      await deletePasswordReset(trx, userId);
      return endSessions(trx, { userId }, 'password-changed');
    };
    return completeLogin(dependencies, { user, audience, action: 'password.change', change }, call);
  });
  if (!verdict.ok) throw new Rejected(verdict.refusal);
  return verdict.value;
}

/** The hash of the new password, which is looked at only when the current one was right. */
async function newHash(
  { passwords }: Pick<ChangePasswordDependencies, 'passwords'>,
  { currentPassword, newPassword, email }: PasswordChange & { readonly email: Email },
  call: OperationCall,
): Promise<string> {
  // One person sent both, so there is nothing to find out by timing.
  if (normalisePassword(newPassword) === normalisePassword(currentPassword)) throw passwordUnchanged();
  // Only now: what the policy says of the new password tells something of the e-mail, which the token does not hold.
  await validateNewPassword(passwords, { password: newPassword, email, field: 'new_password' });
  return passwords.hasher.hash(newPassword, call);
}

/**
 * A session that another instance has just ended is seen here, though the news of it may not have come to this process
 * yet.
 */
async function requireLiveSession(trx: Transaction, sessionId: string | null): Promise<void> {
  // A token that another program signed with the shared secret names a session that is not in our table.
  const session = sessionId !== null && isUuid(sessionId) ? await findSession(trx, sessionId) : null;
  if (!session?.ended) return;
  throw new Rejected({
    kind: 'token-refused',
    refusal: { reason: 'TOKEN_REVOKED', detail: 'the session of the token has ended' },
  });
}
