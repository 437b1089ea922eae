import { isDerived } from '../../domain/claims/derived-token.ts';
import { Rejected } from '../../domain/rejection.ts';
import { listPage } from '../../domain/paging.ts';
import { requireValid, uuid } from '../../domain/validation.ts';
import type { ApiKeyOwner } from '../../features/api-keys/api-key.ts';
import { createApiKey } from '../../features/api-keys/create-api-key.ts';
import { listApiKeys } from '../../features/api-keys/list-api-keys.ts';
import { revokeApiKey } from '../../features/api-keys/revoke-api-key.ts';
import { DEFAULT_OVERLAP_SECONDS } from '../../features/service-accounts/rotate-service-secret.ts';
import { rotateApiKey } from '../../features/api-keys/rotate-api-key.ts';
import { type Call, callerOf } from '../../rpc/call.ts';
import { apiKeyMessage, createdApiKeyMessage, newApiKey } from '../api-key-messages.ts';
import { actorOf, type AdminDependencies, type AdminHandlers } from './admin-dependencies.ts';

/** The RPCs about everybody's API keys. */
export function adminApiKeys(
  dependencies: AdminDependencies,
): Pick<AdminHandlers, 'createApiKey' | 'listApiKeys' | 'revokeApiKey' | 'rotateApiKey'> {
  return {
    createApiKey: async (request, call) => {
      requireUnderived(call);
      const owner = requireOneOwner(request);
      if (!request.apiKey) throw invalid('api_key', 'is missing');
      const creation = { owner, key: newApiKey(request.apiKey), actor: actorOf(call), mayNotExpire: true };
      return createdApiKeyMessage(await createApiKey(dependencies, creation, call));
    },
    listApiKeys: async (request, call) => {
      const { userId, clientId } = request;
      const owner = userId === '' && clientId === '' ? null : requireOneOwner(request);
      const query = ['api-keys', owner?.type ?? '', owner?.id ?? ''];
      const { rows, nextPageToken } = await listPage(dependencies.cursors, query, request, (page) =>
        listApiKeys(dependencies, { ...page, owner }, call),
      );
      return { apiKeys: rows.map(apiKeyMessage), nextPageToken };
    },
    revokeApiKey: async ({ id }, call) => {
      requireValid({ id: uuid }, { id });
      await revokeApiKey(dependencies, { id, owner: null, actor: actorOf(call) }, call);
      return {};
    },
    rotateApiKey: async ({ id, overlap }, call) => {
      requireUnderived(call);
      requireValid({ id: uuid }, { id });
      const overlapSeconds = overlap ?? DEFAULT_OVERLAP_SECONDS;
      const rotation = { id, owner: null, overlapSeconds, actor: actorOf(call) };
      const rotated = await rotateApiKey(dependencies, rotation, call);
      return createdApiKeyMessage(rotated, rotated.previousUntil);
    },
  };
}

/**
 * A key makes no keys: whoever has found an administrator's key must not get another one, which its revocation leaves valid.
 *
 * @throws Rejected `credential-not-allowed` for an API key or a token that was exchanged for another credential
 */
function requireUnderived(call: Call): void {
  const { type, id, claims } = callerOf(call);
  if (claims !== null && isDerived(claims))
    throw new Rejected({ kind: 'credential-not-allowed', caller: { type, id } });
}

/** @throws Rejected `field-invalid` unless exactly one of the two is set */
function requireOneOwner({ userId, clientId }: { userId: string; clientId: string }): ApiKeyOwner {
  if ((userId === '') === (clientId === '')) throw invalid('user_id', 'set either user_id or client_id');
  if (userId === '') {
    requireValid({ clientId: uuid }, { clientId });
    return { type: 'service', id: clientId };
  }
  requireValid({ userId: uuid }, { userId });
  return { type: 'user', id: userId };
}

function invalid(field: string, description: string): Rejected {
  return new Rejected({ kind: 'field-invalid', violations: [{ field, description }] });
}
