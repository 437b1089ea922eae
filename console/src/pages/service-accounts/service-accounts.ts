import type { Page, Route } from '../../router.ts';
import { accountListPage } from './account-list.ts';
import { accountPage } from './account-page.ts';

/** `#/service-accounts` and `#/service-accounts/ID` */
export function serviceAccountsPage(route: Route): Page | null {
  const [, clientId, ...rest] = route.segments;
  if (rest.length > 0) return null;
  return clientId === undefined ? accountListPage(route) : accountPage(clientId);
}
