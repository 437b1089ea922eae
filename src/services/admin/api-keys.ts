import { notBuilt } from '../../rpc/not-built.ts';
import type { AdminHandlers } from './admin-dependencies.ts';

/** The RPCs about API keys. */
export function adminApiKeys(): Pick<
  AdminHandlers,
  'createApiKey' | 'listApiKeys' | 'revokeApiKey' | 'rotateApiKey'
> {
  return {
    createApiKey: notBuilt,
    listApiKeys: notBuilt,
    revokeApiKey: notBuilt,
    rotateApiKey: notBuilt,
  };
}
