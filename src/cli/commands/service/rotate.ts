import { Option } from 'commander';

import { parseDurationMs } from '../../../config/quantities.ts';
import {
  DEFAULT_OVERLAP_SECONDS,
  MAX_OVERLAP_SECONDS,
  rotateServiceSecret,
} from '../../../features/service-accounts/rotate-service-secret.ts';
import { parseServiceRef } from '../../../features/service-accounts/service-account-name.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
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

function parseOverlap(overlap: string | undefined): number {
  if (overlap === undefined) return DEFAULT_OVERLAP_SECONDS;
  const ms = parseDurationMs(overlap);
  if (ms !== null && ms % 1000 === 0 && ms >= 1000 && ms <= MAX_OVERLAP_SECONDS * 1000) return ms / 1000;
  throw wrongUse(
    '--overlap must be a duration from 1s to 30d',
    'Write a number and a unit, such as 30m, 24h or 7d. --now revokes the previous secret at once.',
  );
}
