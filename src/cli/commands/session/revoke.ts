import { Option } from 'commander';

import { getUser } from '../../../features/users/get-user.ts';
import { revokeSessions } from '../../../features/authentication/revoke-sessions.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { printJson, printLines } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

interface Options {
  readonly email?: string;
  readonly json?: boolean;
}

/** `postern session revoke (ID | --email E) [--json]` */
export const sessionRevoke: CommandDefinition = (command) => {
  command
    .argument('[id]', 'a session, as session list shows it')
    .addOption(new Option('--email <address>', 'every session of this user'))
    .option('--json', 'print JSON')
    .action(async (sessionId: string | undefined, { email, json }: Options) => {
      if ((sessionId === undefined) === (email === undefined)) {
        throw new CommandFailure(
          exitCodes.wrongUse,
          'say which sessions are to end',
          'Give the id of one, or --email for all of a user.',
        );
      }
      const ended = await openDatabaseFor({ schema: true }, async (database) => {
        const userId =
          email === undefined ? '' : (await getUser(database, { email }, commandCall(LIMIT_MS))).id;
        const wanted = { userId, sessionId: sessionId ?? '', actor: operator };
        return revokeSessions({ database, trust: null }, wanted, commandCall(LIMIT_MS));
      });
      if (json) printJson({ ended });
      else if (sessionId !== undefined && ended === 0) printLines(['the session had ended already']);
      else printLines([`ended ${ended} ${ended === 1 ? 'session' : 'sessions'}`]);
    });
};
