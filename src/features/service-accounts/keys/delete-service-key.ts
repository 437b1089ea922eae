import type { AuditActor, AuditEvent } from '../../../domain/audit-event.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import type { Database } from '../../../database/database.ts';
import type { TrustBundle } from '../../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import { lockServiceAccount, type ServiceAccount, type ServiceRef } from '../service-account-queries.ts';
import { revokeServiceTokens, revokeTokensOfActor } from '../service-token-queries.ts';
import { deleteServiceKeyRow } from './service-key-queries.ts';

/**
 * Deletes a public key of a service account and revokes the tokens that were issued for its assertions, and those in which the
 * account acts: the private key may have leaked. To change a key without that, a service gets the new one first, and the old one is deleted when its last
 * token has expired.
 *
 * The lock on the account waits for tokens that are being issued, and the deletion of the row keeps further ones from being
 * issued, so that every token is found.
 *
 * @param dependencies.trust see `deleteServiceAccount`
 * @throws Rejected `not-found`, `store-unavailable`
 */
export async function deleteServiceKey(
  { database, trust }: { readonly database: Database; readonly trust: Pick<TrustBundle, 'revoke'> | null },
  deleted: { readonly account: ServiceRef; readonly kid: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly account: ServiceAccount; readonly revokedTokens: number }> {
  const { kid, actor } = deleted;
  const { account, revocations } = await database.transaction(call, async (trx) => {
    const locked = await lockServiceAccount(trx, deleted.account);
    if (!locked) throw new Rejected({ kind: 'not-found', resource: 'service account' });
    const existed = await deleteServiceKeyRow(trx, locked.id, kid);
    if (!existed) throw new Rejected({ kind: 'not-found', resource: 'key of the service account' });
    const revoked = [
      ...(await revokeServiceTokens(trx, locked.id, kid)),
      ...(await revokeTokensOfActor(trx, locked.id)),
    ];
    const event: AuditEvent = {
      action: 'service.key.delete',
      outcome: 'ok',
      actor,
      target: { type: 'service', id: locked.id },
      details: { kid, tokens: revoked.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { account: locked, revocations: revoked };
  });
  trust?.revoke(revocations);
  return { account, revokedTokens: revocations.length };
}
