import {
  SubjectType,
  type ApiKey as WireApiKey,
  type CreateApiKeyRequest,
} from '../generated/postern/v1/auth.ts';
import type { CreatedApiKey as WireCreatedApiKey } from '../generated/postern/v1/auth.ts';
import type { ApiKey, NewApiKey } from '../features/api-keys/api-key.ts';
import type { CreatedApiKey } from '../features/api-keys/create-api-key.ts';

export function newApiKey(request: CreateApiKeyRequest): NewApiKey {
  const { name, roles, audience, lifetime, allowedNetworks } = request;
  return { name, roles, audience, lifetime, allowedNetworks };
}

export function apiKeyMessage(key: ApiKey): WireApiKey {
  return {
    id: key.id,
    name: key.name,
    ownerId: key.owner.id,
    ownerType: key.owner.type === 'user' ? SubjectType.USER : SubjectType.SERVICE,
    roles: [...key.roles],
    audience: key.audience,
    allowedNetworks: [...key.networks],
    createdAt: key.createdAt,
    expiresAt: key.expiresAt ?? undefined,
    lastUsedAt: key.lastUsedAt ?? undefined,
    lastUsedFrom: key.lastUsedFrom ?? '',
    rotatedFrom: key.rotatedFrom ?? '',
  };
}

/** The only message that contains a key. */
export function createdApiKeyMessage(
  { secret, key }: CreatedApiKey,
  previousUntil: Date | null = null,
): WireCreatedApiKey {
  return {
    secret: secret.reveal(),
    apiKey: apiKeyMessage(key),
    previousKeyUntil: previousUntil ?? undefined,
  };
}
