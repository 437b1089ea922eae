import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { type FieldRules, requireValid } from '../../domain/validation.ts';
import { Secret } from '../../domain/secret.ts';
import { SECRET_RANDOM_BYTES, type SecretDigests } from '../../crypto/keyed-digests.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Audiences } from '../audiences/audiences.ts';
import type { Database } from '../../database/database.ts';
import { type GivenRights, requireKnownAudiences, rightsAfter, rightsRules } from './account-rights.ts';
import { insertServiceAccount, type ServiceAccount } from './service-account-queries.ts';
import { serviceName } from './service-account-name.ts';

export interface NewServiceAccount extends GivenRights {
  readonly name: string;
}

const rules: FieldRules<NewServiceAccount> = { ...rightsRules, name: serviceName };

/** What an account has that was given nothing. */
const noRights = { roles: [], ownAudiences: [], delegationAudiences: [] };

/**
 * Creates a service account. It may ask for the default audience when nothing else is said, and can act for nobody. The
 * secret is not stored: only this result contains it.
 *
 * @throws Rejected `field-invalid`, `name-taken`, `store-unavailable`
 */
export async function createServiceAccount(
  dependencies: {
    readonly database: Database;
    readonly digests: SecretDigests;
    readonly audiences: Pick<Audiences, 'configured'>;
  },
  { actor, ...account }: NewServiceAccount & { readonly actor: AuditActor },
  call: OperationCall,
): Promise<{ readonly account: ServiceAccount; readonly clientSecret: Secret }> {
  const { database, digests, audiences } = dependencies;
  const { name, roles, allowedAudiences, ownAudiences, delegationAudiences } = account;
  const given = { roles, allowedAudiences, ownAudiences, delegationAudiences };
  requireValid(rules, { name, ...given });
  const [defaultAudience] = audiences.configured;
  const rights = rightsAfter({ ...noRights, allowedAudiences: [defaultAudience] }, given);
  const id = uuidV7(Date.now(), randomBytes(16));
  const secret = digests.makeServiceSecret(id, randomBytes(SECRET_RANDOM_BYTES));
  const row = { ...rights, id, name, secretDigest: digests.ofServiceSecret(secret) };
  const event: AuditEvent = {
    action: 'service.create',
    outcome: 'ok',
    actor,
    target: { type: 'service', id: row.id },
    details: {
      name,
      roles: rights.roles,
      allowed_audiences: rights.allowedAudiences,
      own_audiences: rights.ownAudiences,
      delegation_audiences: rights.delegationAudiences,
    },
  };
  const created = await database.transaction(call, async (trx) => {
    await requireKnownAudiences(trx, audiences.configured, given);
    const inserted = await insertServiceAccount(trx, row);
    await insertAuditEvent(trx, { event, origin: call.origin });
    return inserted;
  });
  return { account: created, clientSecret: new Secret(secret) };
}
