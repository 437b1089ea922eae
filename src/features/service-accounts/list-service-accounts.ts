import type { CallBudget } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { listServiceAccountRows, type ServiceAccount } from './service-account-queries.ts';

/**
 * One page of service accounts in the order in which they were made, without their secrets.
 *
 * @param page.afterId the last account of the page before, or null for the first page
 * @throws Rejected `store-unavailable`
 */
export function listServiceAccounts(
  { database }: { readonly database: Database },
  page: { readonly afterId: string | null; readonly limit: number },
  call: CallBudget,
): Promise<ServiceAccount[]> {
  return database.run(call, (db) => listServiceAccountRows(db, page));
}
