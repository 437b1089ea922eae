import { updateUser, type UserChanges } from '../../../features/users/update-user.ts';
import type { User } from '../../../features/users/user-queries.ts';
import type { UserRef } from '../../../features/users/user-ref.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { addUserOptions, type UserOptions, userRefOf } from './user-options.ts';
import { userDocument } from './user-view.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { readTokenRoom } from '../../open/token-room.ts';

const LIMIT_MS = 5_000;

interface RoleOptions extends UserOptions {
  readonly role?: readonly string[];
  readonly none?: boolean;
  readonly json?: boolean;
}

/** `postern user set-role (--email E | --external-id X) (--role R... | --none) [--json]` */
export const userSetRole: CommandDefinition = (command) => {
  addUserOptions(command)
    .option('--role <name>', 'a role; may be given several times', collectOption)
    .option('--none', 'remove all roles')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      "\nThe given roles replace the user's roles. If the roles change, the user's sessions end.",
    )
    .action(async ({ role = [], none, json, ...options }: RoleOptions) => {
      const ref = userRefOf(options);
      if ((role.length === 0) !== (none === true)) {
        throw wrongUse(
          'either --role or --none is required',
          'Give --role NAME for each role, or --none to remove all roles.',
        );
      }
      const user = await applyChanges(ref, { roles: role });
      if (json) printJson(userDocument(user));
      else printLines([`${user.email}: ${user.roles.join(', ') || 'no roles'}`]);
    });
};

/** `postern user set-email (--email E | --external-id X) --to E [--json]` */
export const userSetEmail: CommandDefinition = (command) => {
  addUserOptions(command)
    .requiredOption('--to <address>', 'the new e-mail address, with which the user logs in from now on')
    .option('--json', 'print JSON')
    .action(async ({ to, json, ...options }: UserOptions & { to: string; json?: boolean }) => {
      const user = await applyChanges(userRefOf(options), { email: to });
      if (json) printJson(userDocument(user));
      else printLines([`${user.id} now has the e-mail address ${user.email}`]);
      printNotice("The user's sessions have ended.");
    });
};

function applyChanges(user: UserRef, changes: UserChanges): Promise<User> {
  const update = { user, etag: '', changes, actor: operator, action: 'user.update' } as const;
  return openDatabaseFor({ schema: true }, async (database, settings) => {
    const tokenRoom = await readTokenRoom(database, settings, commandCall(LIMIT_MS));
    return updateUser({ database, trust: null, tokenRoom }, update, commandCall(LIMIT_MS));
  });
}
