import { getUser } from '../../../features/users/get-user.ts';
import { revokeSessions } from '../../../features/authentication/revoke-sessions.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { userRefOf } from '../user/user-options.ts';
import { printJson, printLines } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

interface Options {
  readonly email?: string;
  readonly externalId?: string;
  readonly json?: boolean;
}

/** `postern session revoke (ID | --email E | --external-id X) [--json]` */
export const sessionRevoke: CommandDefinition = (command) => {
  command
    .argument('[id]', 'the session id, as session list prints it')
    .option('--email <address>', 'revoke every session of this user')
    .option('--external-id <text>', 'the same, for the user with this id in another program')
    .option('--json', 'print JSON')
    .action(async (sessionId: string | undefined, { email, externalId, json }: Options) => {
      if ([sessionId, email, externalId].filter((name) => name !== undefined).length !== 1) {
        throw wrongUse(
          'either a session id, --email or --external-id is required',
          'Give the id of one session, or --email or --external-id for all sessions of a user.',
        );
      }
      const ended = await openDatabaseFor({ schema: true }, async (database) => {
        const ref = sessionId === undefined ? userRefOf({ email, externalId }) : null;
        const userId = ref ? (await getUser({ database }, ref, commandCall(LIMIT_MS))).id : '';
        const target = { userId, sessionId: sessionId ?? '', actor: operator };
        return revokeSessions({ database, trust: null }, target, commandCall(LIMIT_MS));
      });
      if (json) printJson({ ended });
      else if (sessionId !== undefined && ended === 0) printLines(['the session had already ended']);
      else printLines([`ended ${ended} ${ended === 1 ? 'session' : 'sessions'}`]);
    });
};
