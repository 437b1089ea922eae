import { setUserState } from '../../../features/users/set-user-state.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { addUserOptions, type UserOptions, userRefOf } from './user-options.ts';
import { userDocument } from './user-view.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

/** `postern user disable (--email E | --external-id X) [--json]` */
export const userDisable = stateCommand(true);
/** `postern user enable (--email E | --external-id X) [--json]` */
export const userEnable = stateCommand(false);

function stateCommand(disabled: boolean): CommandDefinition {
  return (command) => {
    addUserOptions(command)
      .option('--json', 'print JSON')
      .action(async ({ json, ...options }: UserOptions & { json?: boolean }) => {
        const ref = userRefOf(options);
        const user = await openDatabaseFor({ schema: true }, (database) =>
          setUserState({ database }, { user: ref, disabled, actor: operator }, commandCall(LIMIT_MS)),
        );
        if (json) printJson(userDocument(user));
        else printLines([`${disabled ? 'disabled' : 'enabled'} ${user.email}`]);
      });
  };
}
