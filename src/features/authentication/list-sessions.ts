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
  { userId, includeEnded }: { readonly userId: string; readonly includeEnded: boolean },
  page: PageRequest,
  budget: CallBudget,
): Promise<Page<ListedSession>> {
  await getUser(database, { userId }, budget);
  return listPage(cursors, ['sessions', userId, includeEnded], page, (position) =>
    database.run(budget, (db) => listSessionsOf(db, { userId, includeEnded }, position)),
  );
}
