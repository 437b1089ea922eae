import { randomBytes } from 'node:crypto';

import type { AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected, type FieldViolation } from '../../domain/rejection.ts';
import { Secret } from '../../domain/secret.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import { requireValid } from '../../domain/validation.ts';
import type { ApiKeyDigests, ApiKeyRights } from '../../crypto/api-key-digests.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import {
  type ApiKey,
  type ApiKeyOwner,
  apiKeyRules,
  canonicalNetworks,
  DEFAULT_LIFETIME_SECONDS,
  MAX_KEYS_PER_OWNER,
  MAX_ROWS_PER_OWNER,
  type NewApiKey,
  rolesForKey,
} from './api-key.ts';
import { countAllKeys, countKeysOf, insertApiKey, lockOwner, type OwnerRights } from './api-key-queries.ts';

export interface ApiKeyMaking {
  readonly database: Database;
  readonly apiKeyDigests: ApiKeyDigests;
  /** POSTERN_API_KEYS_MAX. */
  readonly maxApiKeys: number;
  /** POSTERN_SECOND_FACTOR_ROLES: no key of a user has one of them. */
  readonly secondFactorRoles: readonly string[];
  /** The configured audience for a request; empty for the default. Throws `field-invalid`. */
  readonly audienceFor: (requested: string) => string;
}

export interface CreatedApiKey {
  readonly secret: Secret;
  readonly key: ApiKey;
}

/**
 * Creates an API key. The key is not stored: only this result contains it.
 *
 * @param creation.mayNotExpire whether the caller may create a key that does not expire
 * @throws Rejected `field-invalid`, `not-found`, `name-taken`, `api-key-limit-reached`, `store-unavailable`
 */
export async function createApiKey(
  making: ApiKeyMaking,
  creation: {
    readonly owner: ApiKeyOwner;
    readonly key: NewApiKey;
    readonly actor: AuditActor;
    readonly mayNotExpire: boolean;
  },
  call: OperationCall,
): Promise<CreatedApiKey> {
  const { owner, key, actor, mayNotExpire } = creation;
  requireValid(apiKeyRules(mayNotExpire), key);
  const audience = making.audienceFor(key.audience);
  const lifetimeSeconds = key.lifetime ?? DEFAULT_LIFETIME_SECONDS;
  return making.database.transaction(call, async (trx) => {
    const rights = await requireOwner(trx, owner);
    requireAllowed(key.roles, audience, rights);
    requireNoSecondFactorRole(key.roles, rolesForKey(owner.type, key.roles, making.secondFactorRoles));
    await requireRoom(trx, owner, making.maxApiKeys);
    const made = await insertKey(trx, making.apiKeyDigests, {
      owner,
      name: key.name,
      roles: [...new Set(key.roles)].sort(),
      audience,
      networks: canonicalNetworks(key.allowedNetworks),
      createdAt: rights.now,
      expiresAt: lifetimeSeconds === 0 ? null : new Date(rights.now.getTime() + lifetimeSeconds * 1000),
      rotatedFrom: null,
    });
    await insertAuditEvent(trx, {
      event: { ...eventOf('key.api.create', made.key, actor), details: detailsOf(made.key) },
      origin: call.origin,
    });
    return made;
  });
}

/** @throws Rejected `not-found` for an owner that does not exist or is disabled */
export async function requireOwner(trx: Transaction, owner: ApiKeyOwner): Promise<OwnerRights> {
  const rights = await lockOwner(trx, owner);
  if (rights === null || rights.disabled)
    throw new Rejected({ kind: 'not-found', resource: owner.type === 'user' ? 'user' : 'service account' });
  return rights;
}

/** @throws Rejected `api-key-limit-reached` */
export async function requireRoom(trx: Transaction, owner: ApiKeyOwner, maxApiKeys: number): Promise<void> {
  const own = await countKeysOf(trx, owner);
  const reached = (limit: string, advice: string) =>
    new Rejected({ kind: 'api-key-limit-reached', limit, advice });
  if (own.valid >= MAX_KEYS_PER_OWNER)
    throw reached(
      `the owner has ${MAX_KEYS_PER_OWNER} valid API keys`,
      'revoke one that is not used any more',
    );
  if (own.all >= MAX_ROWS_PER_OWNER)
    throw reached(
      `the owner has ${MAX_ROWS_PER_OWNER} API keys, with those that ended in the last day`,
      'use one key for longer, or exchange it for tokens',
    );
  if ((await countAllKeys(trx)) >= maxApiKeys)
    throw reached(
      'there are as many API keys as POSTERN_API_KEYS_MAX allows',
      'revoke some that are not used any more',
    );
}

/** Makes a key and inserts its row. The caller holds the lock on the owner. */
export async function insertKey(
  trx: Transaction,
  digests: ApiKeyDigests,
  key: Omit<ApiKeyRights, 'id' | 'ownerType' | 'ownerId' | 'digest'> & {
    readonly owner: ApiKeyOwner;
    readonly name: string;
    readonly rotatedFrom: string | null;
  },
): Promise<CreatedApiKey> {
  const { owner, name, rotatedFrom, ...limits } = key;
  const id = uuidV7(Date.now(), randomBytes(16));
  const secret = digests.make(randomBytes(32));
  const rights = { ...limits, id, ownerType: owner.type, ownerId: owner.id, digest: digests.of(secret) };
  const inserted = await insertApiKey(trx, { ...rights, name, rotatedFrom, mac: digests.macOf(rights) });
  return { secret: new Secret(secret), key: inserted };
}

export function eventOf(
  action: 'key.api.create' | 'key.api.rotate' | 'key.api.revoke',
  { id }: { readonly id: string },
  actor: AuditActor,
): AuditEvent {
  return { action, outcome: 'ok', actor, target: { type: 'api-key', id } };
}

/** For the audit trail. The name is left out, since a person chooses it. */
function detailsOf({
  owner,
  roles,
  audience,
  networks,
  expiresAt,
}: ApiKey): Readonly<Record<string, unknown>> {
  return {
    owner: owner.id,
    owner_type: owner.type,
    roles,
    audience,
    networks,
    expires_at: expiresAt?.toISOString() ?? null,
  };
}

function requireAllowed(roles: readonly string[], audience: string, rights: OwnerRights): void {
  const violations: FieldViolation[] = [];
  if (!roles.every((role) => rights.roles.includes(role)))
    violations.push({ field: 'roles', description: 'must be roles that the owner has' });
  if (rights.allowedAudiences !== null && !rights.allowedAudiences.includes(audience))
    violations.push({ field: 'audience', description: 'must be an allowed audience of the service account' });
  if (violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
}

function requireNoSecondFactorRole(roles: readonly string[], possible: readonly string[]): void {
  const excess = [...new Set(roles)].filter((role) => !possible.includes(role));
  if (excess.length === 0) return;
  const description = `must be without ${excess.join(', ')}, since POSTERN_SECOND_FACTOR_ROLES keeps it out of API keys of users; use a service account`;
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'roles', description }] });
}
