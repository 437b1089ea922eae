import { isUuid } from '../../../domain/validation.ts';
import { deleteBinding } from '../../../features/workloads/manage-bindings.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';

const LIMIT_MS = 5_000;

/** `postern service unbind ID [--json]` */
export const serviceUnbind: CommandDefinition = (command) => {
  command
    .argument('<id>', 'the id of the binding')
    .option('--json', 'print JSON')
    .action(async (id: string, { json }: { json?: boolean }) => {
      if (!isUuid(id)) throw wrongUse('the id is not a UUID', 'postern service bindings prints the ids.');
      const { revokedTokens } = await openDatabaseFor({ schema: true }, (database) =>
        deleteBinding({ database, trust: null }, { id, actor: operator }, commandCall(LIMIT_MS)),
      );
      if (json) printJson({ id, revoked_tokens: revokedTokens });
      else printLines([`deleted the binding ${id}; ${revokedTokens} tokens are revoked`]);
    });
};
