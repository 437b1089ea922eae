import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../../domain/audit-event.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { Secret } from '../../../domain/secret.ts';
import { SECRET_RANDOM_BYTES, type SecretDigests } from '../../../crypto/keyed-digests.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import type { Database } from '../../../database/database.ts';
import { upsertPasswordReset } from '../../users/password-reset-queries.ts';
import { lockUserDetails } from '../../users/user-queries.ts';
import { resolveUserRef, type UserRef } from '../../users/user-ref.ts';

/** Time to deliver and use the token. Fixed by the API; there is no setting. */
const LIFETIME_SECONDS = 3_600;

/**
 * Creates a token with which a user sets a password once within an hour. It replaces an earlier one, and becomes invalid
 * when the user's e-mail or password changes or the user is disabled. So an administrator can restore a user's access
 * without knowing or choosing the password (L17).
 *
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function createPasswordReset(
  { database, digests }: { readonly database: Database; readonly digests: SecretDigests },
  { user: ref, actor }: { readonly user: UserRef; readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly userId: string; readonly resetToken: Secret; readonly expiresAt: Date }> {
  const selector = resolveUserRef(ref);
  return database.transaction(call, async (trx) => {
    // A reset takes the same lock, so a token is not replaced while it is being used. The e-mail is matched under the
    // lock, so that no token is made for an address that its user has just given up.
    const user = await lockUserDetails(trx, selector);
    if (!user) throw new Rejected({ kind: 'not-found', resource: 'user' });
    const token = digests.makeResetToken(user.id, randomBytes(SECRET_RANDOM_BYTES));
    const tokenDigest = digests.ofResetToken(token);
    const reset = { userId: user.id, tokenDigest, lifetimeSeconds: LIFETIME_SECONDS };
    const { expiresAt } = await upsertPasswordReset(trx, reset);
    const event: AuditEvent = {
      action: 'password.reset.create',
      outcome: 'ok',
      actor,
      target: { type: 'user', id: user.id },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { userId: user.id, resetToken: new Secret(token), expiresAt };
  });
}
