import { setUserState } from '../../../features/users/set-user-state.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { userDocument } from './user-view.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

/** `postern user disable --email E [--json]` */
export const userDisable = stateCommand(true);
/** `postern user enable --email E [--json]` */
export const userEnable = stateCommand(false);

function stateCommand(disabled: boolean): CommandDefinition {
  return (command) => {
    command
      .requiredOption('--email <address>', "the user's e-mail address")
      .option('--json', 'print JSON')
      .action(async ({ email, json }: { email: string; json?: boolean }) => {
        const user = await openDatabaseFor({ schema: true }, (database) =>
          setUserState({ database }, { email, disabled, actor: operator }, commandCall(LIMIT_MS)),
        );
        if (json) printJson(userDocument(user));
        else printLines([`${disabled ? 'disabled' : 'enabled'} ${user.email}`]);
      });
  };
}
