import { Option } from 'commander';

import { parseDurationMs } from '../../../config/quantities.ts';
import {
  DEFAULT_OVERLAP_SECONDS,
  MAX_OVERLAP_SECONDS,
  rotateServiceSecret,
} from '../../../features/service-accounts/rotate-service-secret.ts';
import { serviceNamed } from '../../../features/service-accounts/service-account-name.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { printJson, printLines, tell } from '../../output.ts';
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
    .argument('<name>', 'its name or its client id')
    .addOption(
      new Option('--now', 'end the secret before it, and every token of the account, at once').conflicts(
        'overlap',
      ),
    )
    .option('--overlap <duration>', 'how long the secret before it stays good, such as 1h (default: 24h)')
    .option('--json', 'print JSON')
    .action(async (name: string, { now, overlap, json }: Options) => {
      const overlapSeconds = now === true ? 0 : secondsOf(overlap);
      const { account, clientSecret } = await openDigests(({ database, digests }) =>
        rotateServiceSecret(
          { database, digests, trust: null },
          { account: serviceNamed(name), overlapSeconds, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      const until = account.previousSecretUntil?.toISOString() ?? null;
      if (json) {
        printJson({ client_id: account.id, client_secret: clientSecret.reveal(), previous_until: until });
        return;
      }
      printLines([`client_id      ${account.id}`, `client_secret  ${clientSecret.reveal()}`]);
      tell(
        'Keep the secret now: it is not shown again.',
        until === null ? 'The one before it has ended.' : `The one before it is good until ${until}.`,
      );
    });
};

function secondsOf(overlap: string | undefined): number {
  if (overlap === undefined) return DEFAULT_OVERLAP_SECONDS;
  const ms = parseDurationMs(overlap);
  if (ms !== null && ms % 1000 === 0 && ms >= 1000 && ms <= MAX_OVERLAP_SECONDS * 1000) return ms / 1000;
  throw new CommandFailure(
    exitCodes.wrongUse,
    '--overlap is not a duration from 1s to 30d',
    'Write a number and a unit, such as 30m, 24h or 7d; --now ends the secret before it at once.',
  );
}
