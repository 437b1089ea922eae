import { Option } from 'commander';

import { rotateServiceSecret } from '../../../features/service-accounts/rotate-service-secret.ts';
import { parseServiceRef } from '../../../features/service-accounts/service-account-name.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { parseOverlap } from '../../parse-overlap.ts';
import { openDigests } from '../../open/open-digests.ts';

const LIMIT_MS = 5_000;

interface Options {
  readonly now?: boolean;
  readonly overlap?: string;
  readonly json?: boolean;
}

/** `postern service rotate NAME [--now | --overlap DURATION] [--json]` */
export const serviceRotate: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name or the client id of the account')
    .addOption(
      new Option('--now', 'revoke the previous secret, and every token of the account, at once').conflicts(
        'overlap',
      ),
    )
    .option('--overlap <duration>', 'how long the previous secret stays valid, such as 1h (default: 24h)')
    .option('--json', 'print JSON')
    .action(async (name: string, { now, overlap, json }: Options) => {
      const overlapSeconds = now === true ? 0 : parseOverlap(overlap);
      const { account, clientSecret } = await openDigests(({ database, digests }) =>
        rotateServiceSecret(
          { database, digests, trust: null },
          { account: parseServiceRef(name), overlapSeconds, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      const until = account.previousSecretUntil?.toISOString() ?? null;
      if (json) {
        printJson({ client_id: account.id, client_secret: clientSecret.reveal(), previous_until: until });
        return;
      }
      printLines([`client_id      ${account.id}`, `client_secret  ${clientSecret.reveal()}`]);
      printNotice(
        'Store the secret now: it is not shown again.',
        until === null ? 'The previous secret is revoked.' : `The previous secret is valid until ${until}.`,
      );
    });
};
