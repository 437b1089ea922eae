import type { AuditActor, AuditEvent } from '../../../domain/audit-event.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { requireValid } from '../../../domain/validation.ts';
import type { SecretDigests } from '../../../crypto/keyed-digests.ts';
import type { Database } from '../../../database/database.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import { lockServiceAccount, type ServiceRef } from '../service-account-queries.ts';
import { deleteServiceKeyRow, findServiceKeys, insertServiceKey } from './service-key-queries.ts';
import { checkServiceKey, parsePublicJwk, publicJwkText, type ServiceKey } from './service-key.ts';

/** Enough for a key of each place where a service runs, old and new side by side; a list needs no pages. */
export const MAX_KEYS_PER_ACCOUNT = 10;

/**
 * Adds a public key to a service account. Adding it again changes nothing, so that a deployment can repeat it.
 *
 * @param added.publicJwk a JSON Web Key as text
 * @throws Rejected `field-invalid`, `not-found`, `store-unavailable`
 */
export async function addServiceKey(
  { database, digests }: { readonly database: Database; readonly digests: SecretDigests },
  added: { readonly account: ServiceRef; readonly publicJwk: string; readonly actor: AuditActor },
  call: OperationCall,
): Promise<ServiceKey> {
  requireValid({ publicJwk: publicJwkText }, { publicJwk: added.publicJwk });
  const { kid, algorithm, jwk } = await parsePublicJwk(added.publicJwk);
  return database.transaction(call, async (trx) => {
    const account = await lockServiceAccount(trx, added.account);
    if (!account) throw new Rejected({ kind: 'not-found', resource: 'service account' });
    const keys = (await findServiceKeys(trx, { id: account.id })) ?? [];
    const existing = keys.find((key) => key.kid === kid);
    if (existing && (await checkServiceKey(digests, existing)))
      return { kid, algorithm, createdAt: existing.createdAt };
    // A row that Postern did not write must not stand in the way.
    if (existing) await deleteServiceKeyRow(trx, account.id, kid);
    else if (keys.length >= MAX_KEYS_PER_ACCOUNT) throw tooManyKeys();
    const mac = digests.ofServiceKey(account.id, kid);
    const createdAt = await insertServiceKey(trx, { accountId: account.id, kid, publicJwk: jwk, mac });
    const event: AuditEvent = {
      action: 'service.key.add',
      outcome: 'ok',
      actor: added.actor,
      target: { type: 'service', id: account.id },
      details: { kid, algorithm },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { kid, algorithm, createdAt };
  });
}

function tooManyKeys(): Rejected {
  const description = `the account has ${MAX_KEYS_PER_ACCOUNT} keys already; delete one that is no longer used`;
  return new Rejected({ kind: 'field-invalid', violations: [{ field: 'public_jwk', description }] });
}
