import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { type FieldRules, requireValid } from '../../domain/validation.ts';
import { Secret } from '../../domain/secret.ts';
import { SECRET_RANDOM_BYTES, type SecretDigests } from '../../crypto/keyed-digests.ts';
import { userRoles } from '../../domain/roles.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database } from '../../database/database.ts';
import { insertServiceAccount, type ServiceAccount } from './service-account-queries.ts';
import { serviceName } from './service-account-name.ts';

export interface NewServiceAccount {
  readonly name: string;
  readonly roles: readonly string[];
}

const rules: FieldRules<NewServiceAccount> = { name: serviceName, roles: userRoles };

/**
 * Creates a service account. The secret is not stored: only this result contains it.
 *
 * @throws Rejected `field-invalid`, `name-taken`, `store-unavailable`
 */
export async function createServiceAccount(
  { database, digests }: { readonly database: Database; readonly digests: SecretDigests },
  { name, roles, actor }: NewServiceAccount & { readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly account: ServiceAccount; readonly clientSecret: Secret }> {
  requireValid(rules, { name, roles });
  const id = uuidV7(Date.now(), randomBytes(16));
  const secret = digests.makeServiceSecret(id, randomBytes(SECRET_RANDOM_BYTES));
  const row = {
    id,
    name,
    roles: [...new Set(roles)].sort(),
    secretDigest: digests.ofServiceSecret(secret),
  };
  const event: AuditEvent = {
    action: 'service.create',
    outcome: 'ok',
    actor,
    target: { type: 'service', id: row.id },
    details: { name, roles: row.roles },
  };
  const account = await database.transaction(call, async (trx) => {
    const inserted = await insertServiceAccount(trx, row);
    await insertAuditEvent(trx, { event, origin: call.origin });
    return inserted;
  });
  return { account, clientSecret: new Secret(secret) };
}
