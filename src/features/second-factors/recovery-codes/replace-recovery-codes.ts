import type { AuditEvent } from '../../../domain/audit-event.ts';
import type { Caller } from '../../../domain/caller.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import type { Secret } from '../../../domain/secret.ts';
import type { SecretDigests } from '../../../crypto/keyed-digests.ts';
import type { Database } from '../../../database/database.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import { authorizeFactorChange } from '../authorize-factor-change.ts';
import { issueRecoveryCodes } from './recovery-codes.ts';

export interface ReplaceRecoveryCodesDependencies {
  readonly database: Database;
  readonly digests: SecretDigests;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/**
 * Gives the calling user new recovery codes in place of the old ones. A user without a factor gets none: codes alone are no second
 * factor.
 *
 * @throws Rejected `not-found`, `step-up-required`, `token-refused`, `store-unavailable`
 */
export async function replaceRecoveryCodes(
  { database, digests, nowMs }: ReplaceRecoveryCodesDependencies,
  { caller }: { readonly caller: Caller },
  call: OperationCall,
): Promise<readonly Secret[]> {
  return database.transaction(call, async (trx) => {
    const { user, factors } = await authorizeFactorChange(trx, caller, nowMs());
    if (factors === 0) throw new Rejected({ kind: 'not-found', resource: 'second factor' });
    const codes = await issueRecoveryCodes(trx, digests, user.id);
    const subject = { type: 'user', id: user.id } as const;
    const event: AuditEvent = {
      action: 'recovery-codes.replace',
      outcome: 'ok',
      actor: subject,
      target: subject,
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return codes;
  });
}
