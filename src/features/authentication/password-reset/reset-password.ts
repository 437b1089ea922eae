import type { AuditEvent } from '../../../domain/audit-event.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected, type Rejection } from '../../../domain/rejection.ts';
import { isScannableSecret } from '../../../crypto/api-secret.ts';
import type { SecretDigests } from '../../../crypto/keyed-digests.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import type { Database } from '../../../database/database.ts';
import { findPasswordReset, consumePasswordReset } from '../../users/password-reset-queries.ts';
import { endSessions } from '../../sessions/session-queries.ts';
import { lockUser, setPasswordHash } from '../../users/user-queries.ts';
import type { TrustBundle } from '../../../trust/trust-bundle.ts';
import type { LoginThrottle } from '../throttle/login-throttle.ts';
import {
  passwordUnchanged,
  type PasswordTools,
  validateNewPassword,
} from '../../users/validate-new-password.ts';

export interface ResetPasswordDependencies {
  readonly database: Database;
  readonly passwords: PasswordTools;
  readonly digests: SecretDigests;
  readonly trust: Pick<TrustBundle, 'revoke'>;
  readonly throttle: LoginThrottle;
}

/**
 * Sets a new password with a token of `createPasswordReset`, ends all of the user's sessions and resets the login
 * throttle for the e-mail and the caller's address. The transaction that sets the password consumes the token: of two
 * concurrent uses one succeeds, and a password that the policy refuses leaves the token valid. An invalid token costs no
 * hash.
 *
 * @throws Rejected `reset-token-invalid`, `password-policy`, `store-unavailable`, `server-overloaded`
 */
export async function resetPassword(
  { database, passwords, digests, trust, throttle }: ResetPasswordDependencies,
  { resetToken, newPassword }: { readonly resetToken: string; readonly newPassword: string },
  call: OperationCall,
): Promise<void> {
  if (!isScannableSecret('prs_', resetToken)) throw refused('malformed');
  const tokenDigest = digests.ofResetToken(resetToken);
  const pending = await database.run(call, (db) => findPasswordReset(db, tokenDigest));
  if (!pending) throw refused('unknown-or-old');
  const { userId, email } = pending;
  // Somebody with write access to the database may have moved the digest of a token of their own to another user's row.
  if (!digests.couldBeResetOf(userId, resetToken)) throw refused('unknown-or-old', userId);
  if (pending.disabled) throw refused('disabled', userId);
  await validateNewPassword(passwords, { password: newPassword, email, field: 'new_password' });
  const { matches } = await passwords.hasher.verify(pending.passwordHash, newPassword, call);
  const passwordHash = await passwords.hasher.hash(newPassword, call);

  const revocations = await database.transaction(call, async (trx) => {
    const locked = await lockUser(trx, userId);
    if (!locked || locked.disabled) throw refused(locked ? 'disabled' : 'unknown-or-old', userId);
    if (!(await consumePasswordReset(trx, { userId, tokenDigest }))) throw refused('unknown-or-old', userId);
    // Checked last: every other password consumes the token, so a stolen token allows a single guess of the current
    // password.
    if (matches) throw passwordUnchanged();
    await setPasswordHash(trx, userId, passwordHash);
    const ended = await endSessions(trx, { userId }, 'password-reset');
    await throttle.forget(trx, { email, address: call.origin.address });
    const event: AuditEvent = {
      action: 'password.reset',
      outcome: 'ok',
      actor: { type: 'user', id: userId },
      target: { type: 'user', id: userId },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return ended;
  });
  trust.revoke(revocations);
}

function refused(
  cause: Extract<Rejection, { kind: 'reset-token-invalid' }>['cause'],
  userId?: string,
): Rejected {
  const subject = userId === undefined ? {} : ({ target: { type: 'user', id: userId } } as const);
  return new Rejected({ kind: 'reset-token-invalid', cause, subject });
}
