import { createServiceAccount } from '../../../features/service-accounts/create-service-account.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { audiencesOf } from '../../open/audiences-of.ts';
import { addAudienceOptions, type AudienceOptions } from './audience-options.ts';
import { openDigests } from '../../open/open-digests.ts';

const LIMIT_MS = 5_000;

interface Options extends AudienceOptions {
  readonly role?: readonly string[];
  readonly json?: boolean;
}

/** `postern service create NAME [--role R]... [--allowed-audiences A,B] [--own-audiences …] [--delegation-audiences …] [--json]` */
export const serviceCreate: CommandDefinition = (command) => {
  addAudienceOptions(
    command
      .argument('<name>', 'the name of the account')
      .option('--role <name>', 'a role; may be given several times', collectOption),
  )
    .option('--json', 'print JSON')
    .action(async (name: string, { role = [], json, ...audiences }: Options) => {
      const { account, clientSecret } = await openDigests((tools) =>
        createServiceAccount(
          { ...tools, audiences: audiencesOf(tools.settings) },
          { name, roles: role, ...audiences, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) {
        printJson({ client_id: account.id, client_secret: clientSecret.reveal() });
        return;
      }
      printLines([`client_id      ${account.id}`, `client_secret  ${clientSecret.reveal()}`]);
      printNotice('Store the secret now: it is not shown again.');
    });
};
