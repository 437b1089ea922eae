import { createUser, validateNewUser } from '../../../features/users/create-user.ts';
import { PasswordHasher } from '../../../passwords/password-hasher.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { readSecret } from '../../read-secret.ts';
import { userDocument } from './user-view.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { readTokenRoom } from '../../open/token-room.ts';

const LIMIT_MS = 30_000;

interface Options {
  readonly email: string;
  readonly passwordStdin?: boolean;
  readonly role?: readonly string[];
  readonly id?: string;
  readonly externalId?: string;
  readonly json?: boolean;
}

/** `postern user create --email E [--password-stdin] [--role R]... [--id UUID] [--external-id X] [--json]` */
export const userCreate: CommandDefinition = (command) => {
  command
    .requiredOption('--email <address>', 'the e-mail address with which the user logs in')
    .option('--password-stdin', 'read the password from standard input instead of asking for it')
    .option('--role <name>', 'a role; may be given several times', collectOption)
    .option('--id <uuid>', 'the id that the user had in another program; without it, a new one is made')
    .option('--external-id <text>', 'the id in another program, which access tokens carry as external_id')
    .option('--json', 'print JSON')
    .action(async ({ email, passwordStdin, role: roles = [], id, externalId, json }: Options) => {
      const named = { email, roles, id, externalId };
      // Before the prompt: nobody should choose a password in vain.
      validateNewUser(named, Number.POSITIVE_INFINITY);
      const password = await readSecret({ name: 'password', fromStdin: passwordStdin === true, isNew: true });
      const hasher = await PasswordHasher.start({ concurrency: 1 });
      try {
        const user = await openDatabaseFor({ schema: true }, async (database, settings) =>
          createUser(
            {
              database,
              passwords: { hasher, policy: { minLength: settings.passwordMinLength } },
              tokenRoom: await readTokenRoom(database, settings, commandCall(LIMIT_MS)),
            },
            { ...named, password: password.reveal(), actor: operator },
            commandCall(LIMIT_MS),
          ),
        );
        if (json) printJson(userDocument(user));
        else printLines([`created ${user.email} (${user.id})`]);
      } finally {
        await hasher.stop();
      }
    });
};
