import type { Database } from '../../database/database.ts';
import { GrantRefused, grantServiceRole } from '../../database/service-role.ts';
import { migrate as applyMigrations, readSchemaState } from '../../database/migrate.ts';
import type { CommandDefinition } from '../command.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLines, printNotice } from '../output.ts';
import { openDatabaseFor } from '../open/open-database-for.ts';

interface Options {
  readonly grantTo?: string;
  readonly json?: boolean;
}

/** `postern migrate [--grant-to ROLE] [--json]` */
export const migrate: CommandDefinition = (command) => {
  command
    .option('--grant-to <role>', 'grant this database role exactly the privileges that the service needs')
    .option('--json', 'print JSON')
    .action(async ({ grantTo, json }: Options) => {
      const result = await openDatabaseFor({ schema: false }, async (database) => {
        const applied = await applyMigrations(database, undefined, () => {
          printNotice('waiting for a transaction that holds a lock on the tables, such as a backup');
        });
        if (grantTo !== undefined) await grant(database, grantTo);
        return { applied, schema: (await readSchemaState(database)).applied, granted_to: grantTo ?? null };
      });
      if (json) printJson(result);
      else {
        printLines(
          result.applied.length === 0
            ? [`the schema is up to date (migration ${result.schema})`]
            : result.applied.map((name) => `applied ${name}`),
        );
        if (grantTo !== undefined) printLines([`granted ${grantTo} the privileges that the service needs`]);
      }
    });
};

async function grant(database: Database, role: string): Promise<void> {
  try {
    await grantServiceRole(database, role);
  } catch (error) {
    if (!(error instanceof GrantRefused)) throw error;
    throw new CommandFailure(exitCodes.refused, `${role}: ${error.message}`, error.advice, { cause: error });
  }
}
