import { Option } from 'commander';

import { rotateApiKey } from '../../../features/api-keys/rotate-api-key.ts';
import { requireValid, uuid } from '../../../domain/validation.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { openApiKeys } from '../../open/open-api-keys.ts';
import { parseOverlap } from '../../parse-overlap.ts';
import { printCreated } from './api-key-view.ts';

const LIMIT_MS = 5_000;

interface Options {
  readonly now?: boolean;
  readonly overlap?: string;
  readonly json?: boolean;
}

/** `postern api-key rotate ID [--now | --overlap DURATION] [--json]` */
export const apiKeyRotate: CommandDefinition = (command) => {
  command
    .argument('<id>', 'the id of the key, as api-key list prints it')
    .addOption(
      new Option('--now', 'revoke the previous key, and every token of it, at once').conflicts('overlap'),
    )
    .option('--overlap <duration>', 'how long the previous key stays valid, such as 1h (default: 24h)')
    .option('--json', 'print JSON')
    .action(async (id: string, { now, overlap, json }: Options) => {
      requireValid({ id: uuid }, { id });
      const overlapSeconds = now === true ? 0 : parseOverlap(overlap);
      const rotation = { id, owner: null, overlapSeconds, actor: operator };
      const rotated = await openApiKeys((making) =>
        rotateApiKey({ ...making, trust: null }, rotation, commandCall(LIMIT_MS)),
      );
      printCreated(rotated, rotated.previousUntil, json);
    });
};
