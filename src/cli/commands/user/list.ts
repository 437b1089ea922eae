import { budgetOf } from '../../../domain/operation-call.ts';
import { listUsers, type User } from '../../../features/users/user-queries.ts';
import type { CommandDefinition } from '../../command.ts';
import { printJson, printTable } from '../../output.ts';
import { userDocument, userHeadings, userRow } from './user-view.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const PAGE = 500;
const LIMIT_MS = 10_000;

/** `postern user list [--json]`; JSON comes as one array. */
export const userList: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const users = await openDatabaseFor({ schema: true }, async (database) => {
      const all: User[] = [];
      for (let page: User[] | undefined; page === undefined || page.length === PAGE;) {
        const afterId = all.at(-1)?.id ?? null;
        page = await database.run(budgetOf(LIMIT_MS, Date.now()), (db) =>
          listUsers(db, { afterId, limit: PAGE }),
        );
        all.push(...page);
      }
      return all;
    });
    if (json) printJson(users.map(userDocument));
    else printTable(userHeadings, users.map(userRow));
  });
};
