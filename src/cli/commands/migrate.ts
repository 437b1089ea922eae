import { migrate as applyMigrations, readSchemaState } from '../../store/migrate.ts';
import type { CommandDefinition } from '../command-definition.ts';
import { printJson, printLines } from '../output.ts';
import { withDatabase } from '../with-database.ts';

/** `postern migrate [--json]` */
export const migrate: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const result = await withDatabase({ schema: false }, async (database) => {
      const applied = await applyMigrations(database);
      return { applied, schema: (await readSchemaState(database)).applied };
    });
    if (json) printJson(result);
    else if (result.applied.length === 0) printLines([`the schema is current (migration ${result.schema})`]);
    else printLines(result.applied.map((name) => `applied ${name}`));
  });
};
