import { createAudience } from '../../../features/audiences/create-audience.ts';
import { deleteAudience } from '../../../features/audiences/delete-audience.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';
import { audiencesOf } from '../../open/audiences-of.ts';

const LIMIT_MS = 5_000;

/** `postern audience add NAME [--json]` */
export const audienceAdd: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name of the audience')
    .option('--json', 'print JSON')
    .action(async (name: string, { json }: { json?: boolean }) => {
      const audience = await openDatabaseFor({ schema: true }, (database, settings) =>
        createAudience(
          { database, audiences: audiencesOf(settings), issuerName: settings.issuer },
          { name, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) printJson({ name, created_at: audience.createdAt?.toISOString() ?? null });
      else if (audience.createdAt === null) printLines([`${name} is one of POSTERN_AUDIENCE already`]);
      else printLines([`${name} is an audience since ${audience.createdAt.toISOString()}`]);
    });
};

/** `postern audience delete NAME [--json]` */
export const audienceDelete: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name of the audience')
    .option('--json', 'print JSON')
    .action(async (name: string, { json }: { json?: boolean }) => {
      await openDatabaseFor({ schema: true }, (database, settings) =>
        deleteAudience(
          { database, audiences: audiencesOf(settings) },
          { name, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) printJson({ name });
      else printLines([`deleted ${name}; its tokens are refused`]);
    });
};
