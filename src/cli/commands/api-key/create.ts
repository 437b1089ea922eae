import { Option } from 'commander';

import { parseSeconds } from '../../../config/quantities.ts';
import { createApiKey } from '../../../features/api-keys/create-api-key.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { openApiKeys } from '../../open/open-api-keys.ts';
import { printCreated } from './api-key-view.ts';
import { addOwnerOptions, type OwnerOptions, requireOwnerOf } from './owner-options.ts';

const LIMIT_MS = 5_000;

interface Options extends OwnerOptions {
  readonly role?: readonly string[];
  readonly audience?: string;
  readonly network?: readonly string[];
  readonly expires?: string;
  readonly never?: boolean;
  readonly json?: boolean;
}

/** `postern api-key create NAME (--email E | --external-id X | --service S) [--role R]... [--audience A] [--network CIDR]... */
export const apiKeyCreate: CommandDefinition = (command) => {
  addOwnerOptions(command.argument('<name>', 'a name for people, such as the program that uses the key'))
    .option('--role <name>', 'a role that the owner has; may be given several times', collectOption)
    .option('--audience <name>', 'the audience that the key can be used for (default: the first one)')
    .option('--network <cidr>', 'a network to use it from; may be given several times', collectOption)
    .option('--expires <duration>', 'how long it is valid, such as 30d, at most 366d (default: 90d)')
    .addOption(new Option('--never', 'it does not expire').conflicts('expires'))
    .option('--json', 'print JSON')
    .action(async (name: string, options: Options) => {
      const { role = [], audience = '', network = [], json } = options;
      const lifetime = options.never === true ? 0 : lifetimeOf(options.expires);
      const key = { name, roles: role, audience, lifetime, allowedNetworks: network };
      const created = await openApiKeys(async (making) => {
        const owner = await requireOwnerOf(making.database, options);
        const creation = { owner, key, actor: operator, mayNotExpire: true };
        return createApiKey(making, creation, commandCall(LIMIT_MS));
      });
      printCreated(created, undefined, json);
    });
};

function lifetimeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = parseSeconds(text);
  if (seconds !== null) return seconds;
  throw wrongUse('--expires is not a duration', 'Write a number and a unit of s, m, h or d, such as 30d.');
}
