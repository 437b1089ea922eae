import type { ApiKey } from '../../../features/api-keys/api-key.ts';
import { listApiKeys } from '../../../features/api-keys/list-api-keys.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printTable } from '../../output.ts';
import { readAllPages } from '../../read-all-pages.ts';
import { apiKeyDocument } from './api-key-view.ts';
import { addOwnerOptions, type OwnerOptions, ownerOf } from './owner-options.ts';

const LIMIT_MS = 10_000;

interface Options extends OwnerOptions {
  readonly json?: boolean;
}

/** `postern api-key list [--email E | --external-id X | --service S] [--json]` */
export const apiKeyList: CommandDefinition = (command) => {
  addOwnerOptions(command)
    .option('--json', 'print JSON')
    .action(async ({ json, ...options }: Options) => {
      const keys = await openDatabaseFor({ schema: true }, async (database) => {
        const owner = await ownerOf(database, options);
        return readAllPages((page) => listApiKeys({ database }, { ...page, owner }, commandCall(LIMIT_MS)));
      });
      if (json) printJson(keys.map(apiKeyDocument));
      else printTable(['ID', 'NAME', 'OWNER', 'ROLES', 'AUDIENCE', 'EXPIRES', 'LAST USED'], keys.map(rowOf));
    });
};

function rowOf({ id, name, owner, roles, audience, expiresAt, lastUsedAt }: ApiKey): string[] {
  const times = [expiresAt?.toISOString() ?? 'never', lastUsedAt?.toISOString() ?? ''];
  return [id, name, `${owner.type} ${owner.id}`, roles.join(','), audience, ...times];
}
