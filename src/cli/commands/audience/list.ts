import { listAudiences } from '../../../features/audiences/list-audiences.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printTable } from '../../output.ts';
import { audiencesOf } from '../../open/audiences-of.ts';

const LIMIT_MS = 5_000;

/** `postern audience list [--json]` */
export const audienceList: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const audiences = await openDatabaseFor({ schema: true }, (database, settings) =>
      listAudiences({ database, audiences: audiencesOf(settings) }, commandCall(LIMIT_MS)),
    );
    if (json)
      printJson(
        audiences.map(({ name, createdAt }) => ({ name, created_at: createdAt?.toISOString() ?? null })),
      );
    else
      printTable(
        ['AUDIENCE', 'ADDED'],
        audiences.map(({ name, createdAt }) => [name, createdAt?.toISOString() ?? 'POSTERN_AUDIENCE']),
      );
  });
};
