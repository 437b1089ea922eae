import type { AuditActor } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { isScannableSecret } from '../../crypto/api-secret.ts';
import type { ApiKeyDigests } from '../../crypto/api-key-digests.ts';
import type { Database } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { ApiKeyOwner } from './api-key.ts';
import { findKeyByDigest, findOwnerOfKey, revokeApiKeyRows } from './api-key-queries.ts';
import { eventOf } from './create-api-key.ts';

export interface RevokeApiKeyDependencies {
  readonly database: Database;
  /** See `deleteServiceAccount`. */
  readonly trust: Pick<TrustBundle, 'revoke'> | null;
}

/**
 * Revokes an API key and every token that it was exchanged for. Idempotent.
 *
 * @param revocation.owner whose key it must be; null for anybody's
 * @returns whether the key was valid
 * @throws Rejected `not-found`, `store-unavailable`
 */
export async function revokeApiKey(
  { database, trust }: RevokeApiKeyDependencies,
  revocation: { readonly id: string; readonly owner: ApiKeyOwner | null; readonly actor: AuditActor },
  call: OperationCall,
): Promise<boolean> {
  const { id, actor } = revocation;
  const revoked = await database.transaction(call, async (trx) => {
    const owner = await findOwnerOfKey(trx, id);
    if (owner === null || (revocation.owner !== null && revocation.owner.id !== owner.id))
      throw new Rejected({ kind: 'not-found', resource: 'API key' });
    const { ids, revocations } = await revokeApiKeyRows(trx, { id });
    const details = { owner: owner.id, was_valid: ids.length > 0 };
    const event = { ...eventOf('key.api.revoke', { id }, actor), details };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return revocations;
  });
  trust?.revoke(revoked);
  return revoked.length > 0;
}

/**
 * Revokes an API key for whoever holds it. A text that is no key, or one that has ended, changes nothing.
 *
 * @param actor the owner, unless an operator revokes it
 * @returns the key's id; null when nothing was revoked
 * @throws Rejected `store-unavailable`
 */
export async function revokePresentedApiKey(
  { database, trust, apiKeyDigests }: RevokeApiKeyDependencies & { readonly apiKeyDigests: ApiKeyDigests },
  presented: { readonly key: string; readonly actor: AuditActor | null },
  call: OperationCall,
): Promise<string | null> {
  if (!isScannableSecret('pak_', presented.key)) return null;
  const digest = apiKeyDigests.of(presented.key);
  const revoked = await database.transaction(call, async (trx) => {
    const found = await findKeyByDigest(trx, digest);
    if (found === null) return null;
    const { id, owner } = found;
    const { ids, revocations } = await revokeApiKeyRows(trx, { id });
    if (ids.length === 0) return null;
    const event = eventOf('key.api.revoke', { id }, presented.actor ?? owner);
    const details = { owner: owner.id, presented: true };
    await insertAuditEvent(trx, { event: { ...event, details }, origin: call.origin });
    return { id, revocations };
  });
  if (revoked === null) return null;
  trust?.revoke(revoked.revocations);
  return revoked.id;
}
