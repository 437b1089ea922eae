import { deleteServiceAccount } from '../../../features/service-accounts/delete-service-account.ts';
import { parseServiceRef } from '../../../features/service-accounts/service-account-name.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

/** `postern service delete NAME [--json]` */
export const serviceDelete: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name or the client id of the account')
    .option('--json', 'print JSON')
    .action(async (name: string, { json }: { json?: boolean }) => {
      const account = await openDatabaseFor({ schema: true }, (database) =>
        deleteServiceAccount(
          { database, trust: null },
          { account: parseServiceRef(name), actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) printJson({ client_id: account.id, name: account.name });
      else printLines([`deleted ${account.name} (${account.id}); its tokens are revoked`]);
    });
};
