import { updateUser, type UserChanges } from '../../../features/users/update-user.ts';
import type { User } from '../../../features/users/user-queries.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { printJson, printLines, tell } from '../../output.ts';
import { userDocument } from './user-view.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

interface RoleOptions {
  readonly email: string;
  readonly role: readonly string[];
  readonly none?: boolean;
  readonly json?: boolean;
}

/** `postern user set-role --email E (--role R... | --none) [--json]` */
export const userSetRole: CommandDefinition = (command) => {
  command
    .requiredOption('--email <address>', 'whose')
    .option('--role <name>', 'a role, once for each', (role, roles: string[]) => [...roles, role], [])
    .option('--none', 'take every role away')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe roles replace those that the user has. When that changes them, the sessions of the user end.',
    )
    .action(async ({ email, role, none, json }: RoleOptions) => {
      if ((role.length === 0) !== (none === true)) {
        throw new CommandFailure(
          exitCodes.wrongUse,
          'say which roles the user is to have',
          'Give --role NAME for each, or --none to take them all away.',
        );
      }
      const user = await changed(email, { roles: role });
      if (json) printJson(userDocument(user));
      else printLines([`${user.email}: ${user.roles.join(', ') || 'no role'}`]);
    });
};

/** `postern user set-email --email E --to E [--json]` */
export const userSetEmail: CommandDefinition = (command) => {
  command
    .requiredOption('--email <address>', 'whose')
    .requiredOption('--to <address>', 'the e-mail that the user logs in with from now on')
    .option('--json', 'print JSON')
    .action(async ({ email, to, json }: { email: string; to: string; json?: boolean }) => {
      const user = await changed(email, { email: to });
      if (json) printJson(userDocument(user));
      else printLines([`${user.id} is ${user.email} now`]);
      tell('The sessions of the user have ended.');
    });
};

function changed(email: string, changes: UserChanges): Promise<User> {
  const update = { user: { email }, etag: '', changes, actor: operator, action: 'user.update' } as const;
  return openDatabaseFor({ schema: true }, (database) =>
    updateUser({ database, trust: null }, update, commandCall(LIMIT_MS)),
  );
}
