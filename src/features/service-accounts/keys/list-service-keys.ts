import type { CallBudget } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import type { SecretDigests } from '../../../crypto/keyed-digests.ts';
import type { Database } from '../../../database/database.ts';
import type { ServiceRef } from '../service-account-queries.ts';
import { findServiceKeys } from './service-key-queries.ts';
import { checkServiceKey, type ServiceKey } from './service-key.ts';

/**
 * Returns the public keys of a service account, oldest first. A row that Postern did not write is left out, because it
 * authenticates nobody; `postern doctor` names it.
 *
 * @throws Rejected `not-found`, `store-unavailable`
 */
export async function listServiceKeys(
  { database, digests }: { readonly database: Database; readonly digests: SecretDigests },
  { account }: { readonly account: ServiceRef },
  call: CallBudget,
): Promise<ServiceKey[]> {
  const stored = await database.run(call, (db) => findServiceKeys(db, account));
  if (stored === null) throw new Rejected({ kind: 'not-found', resource: 'service account' });
  const keys: ServiceKey[] = [];
  for (const row of stored) {
    const key = await checkServiceKey(digests, row);
    if (key) keys.push({ kid: key.kid, algorithm: key.algorithm, createdAt: row.createdAt });
  }
  return keys;
}
