import type { AuditActor } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { requireValid, wholeNumber } from '../../domain/validation.ts';
import { sameDigest } from '../../crypto/keyed-digests.ts';
import type { Transaction } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import { MAX_OVERLAP_SECONDS } from '../service-accounts/rotate-service-secret.ts';
import { type ApiKeyOwner, canonicalNetworks, rolesForKey } from './api-key.ts';
import {
  findOwnerOfKey,
  lockRotatableKey,
  markReplaced,
  revokeApiKeyRows,
  type RotatableKey,
} from './api-key-queries.ts';
import {
  type ApiKeyMaking,
  type CreatedApiKey,
  eventOf,
  insertKey,
  requireOwner,
  requireRoom,
} from './create-api-key.ts';

/**
 * Replaces an API key by a new one with the same name, rights and lifetime. The old one stays valid for the overlap, but not
 * beyond its own end; with an overlap of 0 it is revoked.
 *
 * @param rotation.owner whose key it must be; null for anybody's
 * @param making.trust see `deleteServiceAccount`
 * @throws Rejected `field-invalid`, `not-found`, `api-key-limit-reached`, `store-unavailable`
 */
export async function rotateApiKey(
  making: ApiKeyMaking & { readonly trust: Pick<TrustBundle, 'revoke'> | null },
  rotation: {
    readonly id: string;
    readonly owner: ApiKeyOwner | null;
    readonly overlapSeconds: number;
    readonly actor: AuditActor;
  },
  call: OperationCall,
): Promise<CreatedApiKey & { readonly previousUntil: Date | null }> {
  const { id, overlapSeconds, actor } = rotation;
  requireValid({ overlap: wholeNumber({ min: 0, max: MAX_OVERLAP_SECONDS }) }, { overlap: overlapSeconds });
  const { apiKeyDigests, maxApiKeys } = making;
  const { revocations, ...rotated } = await making.database.transaction(call, async (trx) => {
    // The owner is locked before the key, as everywhere.
    const owner = await findOwnerOfKey(trx, id);
    if (owner === null || (rotation.owner !== null && rotation.owner.id !== owner.id)) throw unknownKey();
    const { now, roles: ownerRoles } = await requireOwner(trx, owner);
    const old = await lockRotatableKey(trx, id);
    if (old === null || !isGenuine(making, old)) throw unknownKey();
    const replaced = await replace(trx, making, old, { now, overlapSeconds });
    await requireRoom(trx, owner, maxApiKeys);
    const { key } = old;
    const made = await insertKey(trx, apiKeyDigests, {
      owner,
      name: key.name,
      roles: rolesForKey(owner.type, key.roles, making.secondFactorRoles).filter((role) =>
        ownerRoles.includes(role),
      ),
      audience: key.audience,
      networks: canonicalNetworks(key.networks),
      createdAt: now,
      expiresAt: key.expiresAt && new Date(now.getTime() + key.expiresAt.getTime() - key.createdAt.getTime()),
      rotatedFrom: id,
    });
    const details = { owner: owner.id, rotated_from: id, overlap_seconds: overlapSeconds };
    const event = { ...eventOf('key.api.rotate', made.key, actor), details };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { ...made, ...replaced };
  });
  making.trust?.revoke(revocations);
  return rotated;
}

async function replace(
  trx: Transaction,
  { apiKeyDigests }: ApiKeyMaking,
  { key, digest }: RotatableKey,
  { now, overlapSeconds }: { readonly now: Date; readonly overlapSeconds: number },
): Promise<{ readonly previousUntil: Date | null; readonly revocations: Revocation[] }> {
  if (overlapSeconds === 0) {
    const { revocations } = await revokeApiKeyRows(trx, { id: key.id });
    return { previousUntil: null, revocations };
  }
  const untilMs = Math.min(now.getTime() + overlapSeconds * 1000, key.expiresAt?.getTime() ?? Infinity);
  const expiresAt = new Date(untilMs);
  const mac = apiKeyDigests.macOf(rightsOfKey({ key, digest }, expiresAt));
  return { previousUntil: expiresAt, revocations: await markReplaced(trx, { id: key.id, expiresAt, mac }) };
}

/** A row that a database writer has altered gets no successor, and no new MAC. */
function isGenuine({ apiKeyDigests }: ApiKeyMaking, stored: RotatableKey): boolean {
  return sameDigest(stored.mac, apiKeyDigests.macOf(rightsOfKey(stored, stored.key.expiresAt)));
}

function rightsOfKey({ key, digest }: Pick<RotatableKey, 'key' | 'digest'>, expiresAt: Date | null) {
  const { id, owner, roles, audience, networks, createdAt } = key;
  return {
    id,
    ownerType: owner.type,
    ownerId: owner.id,
    digest,
    roles,
    audience,
    networks: canonicalNetworks(networks),
    createdAt,
    expiresAt,
  };
}

function unknownKey(): Rejected {
  return new Rejected({ kind: 'not-found', resource: 'API key' });
}
