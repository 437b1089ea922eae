import type { CallBudget } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import type { ApiKey, ApiKeyOwner } from './api-key.ts';
import { listApiKeyRows } from './api-key-queries.ts';

/**
 * Returns one page of valid API keys in the order of their creation.
 *
 * @param list.owner null for everybody's
 * @param list.afterId the id of the last key of the previous page, or null for the first page
 * @throws Rejected `store-unavailable`
 */
export function listApiKeys(
  { database }: { readonly database: Database },
  list: { readonly owner: ApiKeyOwner | null; readonly afterId: string | null; readonly limit: number },
  call: CallBudget,
): Promise<ApiKey[]> {
  return database.run(call, (db) => listApiKeyRows(db, list.owner, list));
}
