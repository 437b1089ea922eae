import { listUsers } from '../../../features/users/list-users-queries.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { printJson, printTable } from '../../output.ts';
import { userDocument, USER_HEADINGS, userRow } from './user-view.ts';
import { readAllPages } from '../../read-all-pages.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 10_000;

/** `postern user list [--json]` */
export const userList: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const users = await openDatabaseFor({ schema: true }, (database) =>
      readAllPages((page) => database.run(commandCall(LIMIT_MS), (db) => listUsers(db, page))),
    );
    if (json) printJson(users.map(userDocument));
    else printTable(USER_HEADINGS, users.map(userRow));
  });
};
