import type { AuditActor } from '../../../domain/audit-event.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import type { Secret } from '../../../domain/secret.ts';
import { requireValid, uuid } from '../../../domain/validation.ts';
import type { SecretDigests } from '../../../crypto/keyed-digests.ts';
import type { Database, Transaction } from '../../../database/database.ts';
import { lockUserDetails, type User } from '../../users/user-queries.ts';
import { resolveUserRef, type UserRef } from '../../users/user-ref.ts';
import { completeFactor, requireRoomForFactor } from '../add-factor.ts';
import { confirmPendingTotp, type ConfirmTotpDependencies } from './confirm-factor.ts';
import { beginTotpEnrolment, type EnrolTotpDependencies, type TotpEnrolment } from './enrol-totp.ts';
import { factorName, presentedCode } from '../factor.ts';
import { countFactors } from '../factor-queries.ts';

/** A factor that an operator adds to a user, such as the first administrator's, without a session of that user. */
interface ForUser {
  readonly user: UserRef;
  readonly actor: AuditActor;
}

/**
 * Makes a TOTP factor for a user, as `enrolTotp` does for the calling one. For operators: it asks for no proof.
 *
 * @throws Rejected `field-invalid`, `not-found`, `factor-limit-reached`, `store-unavailable`
 */
export async function enrolTotpForUser(
  dependencies: Omit<EnrolTotpDependencies, 'nowMs'>,
  { user: ref, name, actor }: ForUser & { readonly name: string },
  call: OperationCall,
): Promise<TotpEnrolment> {
  requireValid({ name: factorName }, { name });
  return dependencies.database.transaction(call, async (trx) => {
    const user = await requireUser(trx, ref);
    const factors = await countFactors(trx, user.id);
    return beginTotpEnrolment(trx, dependencies, { user, name, factors, actor }, call);
  });
}

/**
 * Confirms such a factor by a code of it. All sessions of the user end, as with a factor that the user adds; running instances read the
 * revocations from the database.
 *
 * @returns recovery codes if this is the user's first factor, and none otherwise
 * @throws Rejected `field-invalid`, `not-found`, `factor-limit-reached`, `second-factor-invalid`, `store-unavailable`
 */
export async function confirmTotpForUser(
  dependencies: ConfirmTotpDependencies & { readonly database: Database; readonly digests: SecretDigests },
  { user: ref, factorId, code, actor }: ForUser & { readonly factorId: string; readonly code: string },
  call: OperationCall,
): Promise<{ readonly recoveryCodes: readonly Secret[]; readonly endedSessions: number }> {
  requireValid({ factorId: uuid, code: presentedCode }, { factorId, code });
  const { database, digests } = dependencies;
  return database.transaction(call, async (trx) => {
    const user = await requireUser(trx, ref);
    const earlierFactors = await countFactors(trx, user.id);
    requireRoomForFactor(earlierFactors);
    const factor = await confirmPendingTotp(trx, dependencies, { userId: user.id, factorId, code });
    const addition = { userId: user.id, factor, earlierFactors, keptSessionId: null, actor };
    const { recoveryCodes, revocations } = await completeFactor(trx, digests, addition, call);
    return { recoveryCodes, endedSessions: revocations.length };
  });
}

/** Locks the user, as everything that changes factors does. */
async function requireUser(trx: Transaction, ref: UserRef): Promise<User> {
  const user = await lockUserDetails(trx, resolveUserRef(ref));
  if (!user) throw new Rejected({ kind: 'not-found', resource: 'user' });
  return user;
}
