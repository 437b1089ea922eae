import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { requireValid } from '../../domain/validation.ts';
import type { Database } from '../../database/database.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { newAudienceName } from './audience-name.ts';
import { insertAudience } from './audience-queries.ts';
import type { Audiences } from './audiences.ts';

export interface AudienceDependencies {
  readonly database: Database;
  /** In a command, `refresh` does nothing: running instances are notified by the database. */
  readonly audiences: Pick<Audiences, 'configured' | 'refresh'>;
  /** POSTERN_ISSUER. */
  readonly issuerName: string;
}

/** An audience; `createdAt` is null for one of POSTERN_AUDIENCE. */
export interface Audience {
  readonly name: string;
  readonly createdAt: Date | null;
}

/**
 * Adds an audience to those of POSTERN_AUDIENCE. Idempotent.
 *
 * @throws Rejected `field-invalid`, `audience-limit-reached`, `store-unavailable`
 */
export async function createAudience(
  { database, audiences, issuerName }: AudienceDependencies,
  { name, actor }: { readonly name: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<Audience> {
  requireValid({ name: newAudienceName(issuerName) }, { name });
  if (audiences.configured.includes(name)) return { name, createdAt: null };
  const event: AuditEvent = {
    action: 'audience.create',
    outcome: 'ok',
    actor,
    target: { type: 'audience', id: name },
  };
  const audience = await database.transaction(call, async (trx) => {
    const inserted = await insertAudience(trx, name);
    if (inserted === null) throw new Rejected({ kind: 'audience-limit-reached' });
    if (inserted.isNew) await insertAuditEvent(trx, { event, origin: call.origin });
    return inserted.audience;
  });
  await refreshAfterCommit(audiences);
  return audience;
}

/** This process knows the change before it answers. When it cannot read now, its next refresh does. */
export async function refreshAfterCommit(audiences: Pick<Audiences, 'refresh'>): Promise<void> {
  await audiences.refresh().catch(() => undefined);
}
