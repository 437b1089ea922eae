import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database } from '../../database/database.ts';
import { revokeApiKeysOfAccount } from './account-api-keys-queries.ts';
import {
  deleteServiceAccountRow,
  lockServiceAccount,
  type ServiceAccount,
  type ServiceRef,
} from './service-account-queries.ts';
import { revokeServiceTokens, revokeTokensOfActor } from './service-token-queries.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';

/**
 * Deletes a service account with its keys, API keys and bindings. Revokes its API keys, every token that was issued to it,
 * and those in which it acts for somebody. An account that is made later by the same name has another id.
 *
 * @param dependencies.trust the trust bundle of this process, which then refuses the tokens at once; null in a command:
 *   running instances read the revocations from the database
 * @throws Rejected `not-found`, `store-unavailable`
 */
export async function deleteServiceAccount(
  { database, trust }: { readonly database: Database; readonly trust: Pick<TrustBundle, 'revoke'> | null },
  { account: ref, actor }: { readonly account: ServiceRef; readonly actor: AuditActor },
  call: OperationCall,
): Promise<ServiceAccount> {
  const { account, revocations } = await database.transaction(call, async (trx) => {
    const locked = await lockServiceAccount(trx, ref);
    if (!locked) throw new Rejected({ kind: 'not-found', resource: 'service account' });
    const keys = await revokeApiKeysOfAccount(trx, locked.id);
    const tokens = [
      ...(await revokeServiceTokens(trx, locked.id)),
      ...(await revokeTokensOfActor(trx, locked.id)),
    ];
    await deleteServiceAccountRow(trx, locked.id);
    const event: AuditEvent = {
      action: 'service.delete',
      outcome: 'ok',
      actor,
      target: { type: 'service', id: locked.id },
      details: { name: locked.name, roles: locked.roles, tokens: tokens.length, api_keys: keys.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { account: locked, revocations: [...keys, ...tokens] };
  });
  trust?.revoke(revocations);
  return account;
}
