import { deleteUser } from '../../../features/users/delete-user.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { addUserOptions, type UserOptions, userRefOf } from './user-options.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

/** `postern user delete (--email E | --external-id X) [--json]` */
export const userDelete: CommandDefinition = (command) => {
  addUserOptions(command)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nThe audit trail keeps the actions of the user, under the id that is printed.')
    .action(async ({ json, ...options }: UserOptions & { json?: boolean }) => {
      const deletion = { user: userRefOf(options), etag: '', actor: operator };
      const { id } = await openDatabaseFor({ schema: true }, (database) =>
        deleteUser({ database, trust: null }, deletion, commandCall(LIMIT_MS)),
      );
      if (json) printJson({ deleted: id });
      else printLines([`deleted ${id}`]);
    });
};
