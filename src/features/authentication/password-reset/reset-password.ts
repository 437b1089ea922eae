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
 * Sets another password with a token of `createPasswordReset` and ends all of the user's sessions and what failed
 * logins have left to wait. The token is used up in the transaction that sets the password: of two uses at once one wins,
 * and a password that the policy refuses leaves the token good. Nothing is hashed for a token that is not.
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
  // A digest that somebody moved here from the row of a token that he was given.
  if (!digests.couldBeResetOf(userId, resetToken)) throw refused('unknown-or-old', userId);
  if (pending.disabled) throw refused('disabled', userId);
  await validateNewPassword(passwords, { password: newPassword, email, field: 'new_password' });
  const { matches } = await passwords.hasher.verify(pending.passwordHash, newPassword, call);
  const passwordHash = await passwords.hasher.hash(newPassword, call);

  const revocations = await database.transaction(call, async (trx) => {
    const locked = await lockUser(trx, userId);
    if (!locked || locked.disabled) throw refused(locked ? 'disabled' : 'unknown-or-old', userId);
    if (!(await consumePasswordReset(trx, { userId, tokenDigest }))) throw refused('unknown-or-old', userId);
    // Only now: any other password uses the token up, so that a stolen one is good for a single guess of the present one.
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
