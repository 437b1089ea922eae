import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../domain/audit-event.ts';
import type { OperationCall } from '../domain/call-origin.ts';
import { type FieldRules, requireValid } from '../domain/field-rules.ts';
import { Secret } from '../domain/secret.ts';
import { SECRET_RANDOM_BYTES, type SecretDigests } from '../domain/secret-digests.ts';
import { userRoles } from '../domain/user-roles.ts';
import { uuidV7 } from '../domain/uuid-v7.ts';
import { insertAuditEvent } from '../store/audit-events.ts';
import type { Database } from '../store/database.ts';
import { insertServiceAccount, type ServiceAccount } from '../store/service-accounts.ts';
import { serviceName } from './service-account-rules.ts';

export interface NewServiceAccount {
  readonly name: string;
  readonly roles: readonly string[];
}

const rules: FieldRules<NewServiceAccount> = { name: serviceName, roles: userRoles };

/**
 * Makes a service account. Its secret is known to nobody but whoever gets this answer.
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
