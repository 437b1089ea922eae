import { updateUser, type UserChanges } from '../../../features/users/update-user.ts';
import type { User } from '../../../features/users/user-queries.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { userDocument } from './user-view.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

interface RoleOptions {
  readonly email: string;
  readonly role?: readonly string[];
  readonly none?: boolean;
  readonly json?: boolean;
}

/** `postern user set-role --email E (--role R... | --none) [--json]` */
export const userSetRole: CommandDefinition = (command) => {
  command
    .requiredOption('--email <address>', "the user's e-mail address")
    .option('--role <name>', 'a role; may be given several times', collectOption)
    .option('--none', 'remove all roles')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      "\nThe given roles replace the user's roles. If the roles change, the user's sessions end.",
    )
    .action(async ({ email, role = [], none, json }: RoleOptions) => {
      if ((role.length === 0) !== (none === true)) {
        throw wrongUse(
          'either --role or --none is required',
          'Give --role NAME for each role, or --none to remove all roles.',
        );
      }
      const user = await applyChanges(email, { roles: role });
      if (json) printJson(userDocument(user));
      else printLines([`${user.email}: ${user.roles.join(', ') || 'no roles'}`]);
    });
};

/** `postern user set-email --email E --to E [--json]` */
export const userSetEmail: CommandDefinition = (command) => {
  command
    .requiredOption('--email <address>', "the user's e-mail address")
    .requiredOption('--to <address>', 'the new e-mail address, with which the user logs in from now on')
    .option('--json', 'print JSON')
    .action(async ({ email, to, json }: { email: string; to: string; json?: boolean }) => {
      const user = await applyChanges(email, { email: to });
      if (json) printJson(userDocument(user));
      else printLines([`${user.id} now has the e-mail address ${user.email}`]);
      printNotice("The user's sessions have ended.");
    });
};

function applyChanges(email: string, changes: UserChanges): Promise<User> {
  const update = { user: { email }, etag: '', changes, actor: operator, action: 'user.update' } as const;
  return openDatabaseFor({ schema: true }, (database) =>
    updateUser({ database, trust: null }, update, commandCall(LIMIT_MS)),
  );
}
