import type { AuthServiceService } from '../generated/postern/v1/auth.ts';
import { listPage, type PageCursors } from '../domain/paging.ts';
import { requireValid, uuid } from '../domain/validation.ts';
import { DEFAULT_OVERLAP_SECONDS } from '../features/service-accounts/rotate-service-secret.ts';
import { type ApiKeyMaking, createApiKey } from '../features/api-keys/create-api-key.ts';
import { listApiKeys } from '../features/api-keys/list-api-keys.ts';
import { revokeApiKey } from '../features/api-keys/revoke-api-key.ts';
import { rotateApiKey } from '../features/api-keys/rotate-api-key.ts';
import { type Call, callerOf } from '../rpc/call.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import { apiKeyMessage, createdApiKeyMessage, newApiKey } from './api-key-messages.ts';

export interface OwnApiKeyDependencies extends ApiKeyMaking {
  readonly trust: TrustBundle;
  readonly cursors: PageCursors;
}

/** The RPCs about the calling user's own API keys. */
export function ownApiKeys(
  dependencies: OwnApiKeyDependencies,
): Pick<
  ServiceHandlers<typeof AuthServiceService>,
  'createApiKey' | 'listApiKeys' | 'revokeApiKey' | 'rotateApiKey'
> {
  const ownedBy = (call: Call) => {
    const { id } = callerOf(call);
    return { owner: { type: 'user', id }, actor: { type: 'user', id } } as const;
  };
  return {
    createApiKey: async (request, call) => {
      const creation = { ...ownedBy(call), key: newApiKey(request), mayNotExpire: false };
      return createdApiKeyMessage(await createApiKey(dependencies, creation, call));
    },
    listApiKeys: async (request, call) => {
      const { owner } = ownedBy(call);
      const { rows, nextPageToken } = await listPage(
        dependencies.cursors,
        ['own-api-keys', owner.id],
        request,
        (page) => listApiKeys(dependencies, { ...page, owner }, call),
      );
      return { apiKeys: rows.map(apiKeyMessage), nextPageToken };
    },
    revokeApiKey: async ({ id }, call) => {
      requireValid({ id: uuid }, { id });
      await revokeApiKey(dependencies, { ...ownedBy(call), id }, call);
      return {};
    },
    rotateApiKey: async ({ id, overlap }, call) => {
      requireValid({ id: uuid }, { id });
      const overlapSeconds = overlap ?? DEFAULT_OVERLAP_SECONDS;
      const rotated = await rotateApiKey(dependencies, { ...ownedBy(call), id, overlapSeconds }, call);
      return createdApiKeyMessage(rotated, rotated.previousUntil);
    },
  };
}
