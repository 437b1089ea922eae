import { ownOrigin } from '../../../domain/operation-call.ts';
import { endAllSessions } from '../../../features/authentication/end-all-sessions.ts';
import { type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { openSigningKeys } from '../../open/open-signing-keys.ts';

const origin = { actor: operator, origin: ownOrigin };

interface Options {
  readonly afterRestore?: boolean;
  readonly json?: boolean;
}

/** `postern session end-all [--after-restore] [--json]` */
export const sessionEndAll: CommandDefinition = (command) => {
  command
    .option(
      '--after-restore',
      'also end what a restored backup revives: access tokens, by new signing keys, pending password resets, and API keys',
    )
    .option('--json', 'print JSON')
    .action(async ({ afterRestore, json }: Options) => {
      const result = afterRestore
        ? await openSigningKeys(({ database, policy, masterKeys }) =>
            endAllSessions({ database }, { replaceKeys: { policy, masterKeys }, ...origin }),
          )
        : await openDatabaseFor({ schema: true }, (database) =>
            endAllSessions({ database }, { replaceKeys: null, ...origin }),
          );
      if (json) printJson({ sessions: result.sessions, active: result.active, api_keys: result.apiKeys });
      else {
        printLines([
          `ended ${result.sessions} ${result.sessions === 1 ? 'session' : 'sessions'}; every user has to log in again`,
        ]);
        if (result.active !== null)
          printLines([
            `revoked the signing keys; ${result.active} signs now`,
            `revoked ${result.apiKeys} API ${result.apiKeys === 1 ? 'key' : 'keys'}`,
          ]);
      }
    });
};
