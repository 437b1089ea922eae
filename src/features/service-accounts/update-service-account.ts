import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { requireValid } from '../../domain/validation.ts';
import type { Database } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Audiences } from '../audiences/audiences.ts';
import {
  type GivenRights,
  requireKnownAudiences,
  rightsAfter,
  rightsLost,
  rightsRules,
} from './account-rights.ts';
import {
  lockServiceAccount,
  replaceAccountRights,
  type ServiceAccount,
  type ServiceRef,
} from './service-account-queries.ts';
import { revokeServiceTokens, revokeTokensOfActor } from './service-token-queries.ts';

export interface ServiceAccountUpdate {
  readonly account: ServiceRef;
  readonly changes: GivenRights;
  readonly actor: AuditActor;
}

/**
 * Changes what a service account may do. No token keeps what the account loses: its tokens are revoked when its roles or
 * allowed audiences shrink, and those in which it acts for somebody when its own or delegation audiences do. The lock on
 * the account's row makes this wait for tokens that are being issued, and those for this.
 *
 * @param dependencies.trust see `deleteServiceAccount`
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function updateServiceAccount(
  dependencies: {
    readonly database: Database;
    readonly trust: Pick<TrustBundle, 'revoke'> | null;
    readonly audiences: Pick<Audiences, 'configured'>;
  },
  { account: ref, changes, actor }: ServiceAccountUpdate,
  call: OperationCall,
): Promise<ServiceAccount> {
  const { database, trust, audiences } = dependencies;
  const { roles, allowedAudiences, ownAudiences, delegationAudiences } = changes;
  requireValid(rightsRules, { roles, allowedAudiences, ownAudiences, delegationAudiences });
  const { account, revocations } = await database.transaction(call, async (trx) => {
    const before = await lockServiceAccount(trx, ref);
    if (!before) throw new Rejected({ kind: 'not-found', resource: 'service account' });
    await requireKnownAudiences(trx, audiences.configured, changes);
    const after = { ...before, ...rightsAfter(before, changes) };
    await replaceAccountRights(trx, after);
    const lost = rightsLost(before, after);
    const revoked = [
      ...(lost.asSubject ? await revokeServiceTokens(trx, after.id) : []),
      ...(lost.asActor ? await revokeTokensOfActor(trx, after.id) : []),
    ];
    const event: AuditEvent = {
      action: 'service.update',
      outcome: 'ok',
      actor,
      target: { type: 'service', id: after.id },
      details: { before: auditView(before), after: auditView(after), tokens: revoked.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { account: after, revocations: revoked };
  });
  trust?.revoke(revocations);
  return account;
}

function auditView({ roles, allowedAudiences, ownAudiences, delegationAudiences }: ServiceAccount): object {
  return {
    roles,
    allowed_audiences: allowedAudiences,
    own_audiences: ownAudiences,
    delegation_audiences: delegationAudiences,
  };
}
