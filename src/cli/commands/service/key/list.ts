import { listServiceKeys } from '../../../../features/service-accounts/keys/list-service-keys.ts';
import type { ServiceKey } from '../../../../features/service-accounts/keys/service-key.ts';
import { parseServiceRef } from '../../../../features/service-accounts/service-account-name.ts';
import { commandCall, type CommandDefinition } from '../../../command.ts';
import { openDigests } from '../../../open/open-digests.ts';
import { printJson, printTable } from '../../../output.ts';

const LIMIT_MS = 5_000;

/** `postern service key list NAME [--json]` */
export const serviceKeyList: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name or the client id of the account')
    .option('--json', 'print JSON')
    .action(async (name: string, { json }: { json?: boolean }) => {
      const keys = await openDigests((tools) =>
        listServiceKeys(tools, { account: parseServiceRef(name) }, commandCall(LIMIT_MS)),
      );
      if (json) printJson(keys.map(serviceKeyDocument));
      else
        printTable(
          ['KID', 'ALGORITHM', 'CREATED'],
          keys.map(({ kid, algorithm, createdAt }) => [kid, algorithm, createdAt.toISOString()]),
        );
    });
};

/** A key as `--json` prints it. The names are those of the gRPC contract. */
export function serviceKeyDocument({ kid, algorithm, createdAt }: ServiceKey): object {
  return { kid, algorithm, created_at: createdAt.toISOString() };
}
