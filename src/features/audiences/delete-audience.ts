import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { requireValid, text } from '../../domain/validation.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { deleteAudienceRow } from './audience-queries.ts';
import { type AudienceDependencies, refreshAfterCommit } from './create-audience.ts';

const rules = { name: text({ minBytes: 1, maxBytes: 256 }) };

/**
 * Removes an audience that was added. Every verifier then refuses its tokens, and its sessions are not refreshed. Service
 * accounts keep the name in their lists, where it has no effect.
 *
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function deleteAudience(
  { database, audiences }: Omit<AudienceDependencies, 'issuerName'>,
  { name, actor }: { readonly name: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<void> {
  requireValid(rules, { name });
  if (audiences.configured.includes(name)) {
    const description = 'is one of POSTERN_AUDIENCE; remove it there';
    throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'name', description }] });
  }
  const event: AuditEvent = {
    action: 'audience.delete',
    outcome: 'ok',
    actor,
    target: { type: 'audience', id: name },
  };
  await database.transaction(call, async (trx) => {
    if (!(await deleteAudienceRow(trx, name)))
      throw new Rejected({ kind: 'not-found', resource: 'audience' });
    await insertAuditEvent(trx, { event, origin: call.origin });
  });
  await refreshAfterCommit(audiences);
}
