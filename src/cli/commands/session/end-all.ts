import { ownOrigin } from '../../../domain/operation-call.ts';
import { endAllSessions } from '../../../features/authentication/end-all-sessions.ts';
import { type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { openSigningKeys } from '../../open/open-signing-keys.ts';

const by = { actor: operator, origin: ownOrigin };

interface Options {
  readonly afterRestore?: boolean;
  readonly json?: boolean;
}

/** `postern session end-all [--after-restore] [--json]` */
export const sessionEndAll: CommandDefinition = (command) => {
  command
    .option(
      '--after-restore',
      'end also what a backup revives: every access token, by new signing keys, and pending password resets',
    )
    .option('--json', 'print JSON')
    .action(async ({ afterRestore, json }: Options) => {
      const result = afterRestore
        ? await openSigningKeys(({ database, policy, masterKeys }) =>
            endAllSessions(database, { policy, masterKeys }, by),
          )
        : await openDatabaseFor({ schema: true }, (database) => endAllSessions(database, null, by));
      if (json) printJson(result);
      else {
        printLines([`${result.sessions} sessions ended; everybody has to log in again`]);
        if (result.active !== null) printLines([`the signing keys are revoked; ${result.active} signs`]);
      }
    });
};
