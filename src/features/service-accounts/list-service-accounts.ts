import type { CallBudget } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { listServiceAccountRows, type ServiceAccount } from './service-account-queries.ts';

/**
 * Returns one page of service accounts in the order of their creation.
 *
 * @param page.afterId the id of the last account of the previous page, or null for the first page
 * @throws Rejected `store-unavailable`
 */
export function listServiceAccounts(
  { database }: { readonly database: Database },
  page: { readonly afterId: string | null; readonly limit: number },
  call: CallBudget,
): Promise<ServiceAccount[]> {
  return database.run(call, (db) => listServiceAccountRows(db, page));
}
