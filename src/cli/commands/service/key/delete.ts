import { deleteServiceKey } from '../../../../features/service-accounts/keys/delete-service-key.ts';
import { parseServiceRef } from '../../../../features/service-accounts/service-account-name.ts';
import { commandCall, type CommandDefinition, operator } from '../../../command.ts';
import { openDatabaseFor } from '../../../open/open-database-for.ts';
import { printJson, printLines } from '../../../output.ts';

const LIMIT_MS = 5_000;

/** `postern service key delete NAME KID [--json]` */
export const serviceKeyDelete: CommandDefinition = (command) => {
  command
    // One kid in 64 begins with a hyphen (base64url), as in `key revoke`.
    .allowUnknownOption()
    .argument('<name>', 'the name or the client id of the account')
    .argument('<kid>', 'the key id, as service key list prints it')
    .option('--json', 'print JSON')
    .action(async (name: string, kid: string, { json }: { json?: boolean }) => {
      const { account, revokedTokens } = await openDatabaseFor({ schema: true }, (database) =>
        deleteServiceKey(
          { database, trust: null },
          { account: parseServiceRef(name), kid, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) printJson({ client_id: account.id, kid, revoked_tokens: revokedTokens });
      else printLines([`deleted key ${kid} of ${account.name}; tokens revoked: ${revokedTokens}`]);
    });
};
