import type { AuditEvent } from '../../domain/audit-event.ts';
import type { Caller } from '../../domain/caller.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { requireValid, uuid } from '../../domain/validation.ts';
import type { Database } from '../../database/database.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { authorizeFactorChange } from './authorize-factor-change.ts';
import { countFactors, deleteFactorRow } from './factor-queries.ts';
import { replaceRecoveryCodeRows } from './recovery-codes/recovery-code-queries.ts';

/**
 * Deletes a factor of the calling user, and with the last one the recovery codes: alone they would ask for a factor that cannot be
 * used.
 *
 * @throws Rejected `field-invalid`, `not-found`, `step-up-required`, `token-refused`, `store-unavailable`
 */
export async function deleteFactor(
  { database, nowMs }: { readonly database: Database; readonly nowMs: () => number },
  { factorId: id, caller }: { readonly factorId: string; readonly caller: Caller },
  call: OperationCall,
): Promise<void> {
  requireValid({ factorId: uuid }, { factorId: id });
  await database.transaction(call, async (trx) => {
    const { user } = await authorizeFactorChange(trx, caller, nowMs());
    const kind = await deleteFactorRow(trx, { userId: user.id, id });
    if (kind === null) throw new Rejected({ kind: 'not-found', resource: 'factor' });
    const left = await countFactors(trx, user.id);
    if (left === 0) await replaceRecoveryCodeRows(trx, user.id, []);
    const event: AuditEvent = {
      action: 'factor.delete',
      outcome: 'ok',
      actor: { type: 'user', id: user.id },
      target: { type: 'factor', id },
      details: { user: user.id, kind, left },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
  });
}
