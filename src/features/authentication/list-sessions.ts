import type { CallBudget } from '../../domain/operation-call.ts';
import { listPage, type Page, type PageCursors, type PageRequest } from '../../domain/paging.ts';
import type { Database } from '../../database/database.ts';
import { type ListedSession, listSessionsOf } from '../sessions/session-queries.ts';
import { getUser } from '../users/get-user.ts';

/**
 * One page of a user's sessions, the oldest first.
 *
 * @throws Rejected `field-invalid`, `not-found` for an unknown user, `store-unavailable`
 */
export async function listSessions(
  { database, cursors }: { readonly database: Database; readonly cursors: PageCursors },
  {
    userId,
    includeEnded,
    ...page
  }: { readonly userId: string; readonly includeEnded: boolean } & PageRequest,
  call: CallBudget,
): Promise<Page<ListedSession>> {
  await getUser({ database }, { userId }, call);
  return listPage(cursors, ['sessions', userId, includeEnded], page, (position) =>
    database.run(call, (db) => listSessionsOf(db, { userId, includeEnded }, position)),
  );
}
