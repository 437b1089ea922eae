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

/** Time to deliver the token and to use it; the contract has no setting for it. */
const LIFETIME_SECONDS = 3_600;

/**
 * Makes a token with which a user sets a password, once, within an hour; the one made before it ends, as this one does
 * when the user gets another e-mail, another password, or is disabled. The administrator so lets a user in again without ever knowing, or choosing, the password (L17).
 *
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function createPasswordReset(
  { database, digests }: { readonly database: Database; readonly digests: SecretDigests },
  { user: ref, actor }: { readonly user: UserRef; readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly userId: string; readonly resetToken: Secret; readonly expiresAt: Date }> {
  const row = resolveUserRef(ref);
  return database.transaction(call, async (trx) => {
    // Under the lock that a reset takes, so that a token is not replaced while it is being used; and by the e-mail as it
    // is then, lest a token go to one that its user has just given up.
    const user = await lockUserDetails(trx, row);
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
