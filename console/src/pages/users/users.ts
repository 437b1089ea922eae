import type { Page, Route } from '../../router.ts';
import { userListPage } from './user-list.ts';
import { userPage } from './user-page.ts';

/** `#/users` and `#/users/ID` */
export function usersPage(route: Route): Page | null {
  const [, userId, ...others] = route.segments;
  if (others.length > 0) return null;
  return userId === undefined ? userListPage(route) : userPage(userId);
}
