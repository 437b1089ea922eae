import { createServiceAccount } from '../../../features/service-accounts/create-service-account.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { openDigests } from '../../open/open-digests.ts';

const LIMIT_MS = 5_000;

interface Options {
  readonly role?: readonly string[];
  readonly json?: boolean;
}

/** `postern service create NAME [--role R]... [--json]` */
export const serviceCreate: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name of the account')
    .option('--role <name>', 'a role; may be given several times', collectOption)
    .option('--json', 'print JSON')
    .action(async (name: string, { role = [], json }: Options) => {
      const { account, clientSecret } = await openDigests((tools) =>
        createServiceAccount(tools, { name, roles: role, actor: operator }, commandCall(LIMIT_MS)),
      );
      if (json) {
        printJson({ client_id: account.id, client_secret: clientSecret.reveal() });
        return;
      }
      printLines([`client_id      ${account.id}`, `client_secret  ${clientSecret.reveal()}`]);
      printNotice('Store the secret now: it is not shown again.');
    });
};
