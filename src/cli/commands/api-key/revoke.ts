import type { ApiKeyMaking } from '../../../features/api-keys/create-api-key.ts';
import { revokeApiKey, revokePresentedApiKey } from '../../../features/api-keys/revoke-api-key.ts';
import { requireValid, uuid } from '../../../domain/validation.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { openApiKeys } from '../../open/open-api-keys.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';
import { readText } from '../../read-text.ts';

const LIMIT_MS = 5_000;
const MAX_TEXT_BYTES = 16 * 1024 * 1024;
/**
 * Anywhere in a text, also where an escape sequence such as \n or %20 ends before the key. The checksum tells what is none.
 */
const KEY = /pak_[0-9A-Za-z]{49}/g;

interface Options {
  readonly stdin?: boolean;
  readonly json?: boolean;
}

/** `postern api-key revoke (ID | --stdin) [--json]` */
export const apiKeyRevoke: CommandDefinition = (command) => {
  command
    .argument('[id]', 'the id of the key, as api-key list prints it')
    .option('--stdin', 'revoke every API key in the text on standard input, such as the report of a scanner')
    .option('--json', 'print JSON')
    .action(async (id: string | undefined, { stdin, json }: Options) => {
      if ((id === undefined) === (stdin !== true))
        throw wrongUse('either an id or --stdin is required', 'Give the id of one key, or --stdin.');
      const revoked = id === undefined ? await revokeAllInText() : await revokeOne(id);
      if (json) printJson({ revoked });
      else if (revoked.length === 0) printLines(['no valid key was found; nothing was changed']);
      else printLines(revoked.map((key) => `revoked ${key} and every token that it was exchanged for`));
    });
};

async function revokeOne(id: string): Promise<readonly string[]> {
  requireValid({ id: uuid }, { id });
  const revocation = { id, owner: null, actor: operator };
  const wasValid = await openDatabaseFor({ schema: true }, (database) =>
    revokeApiKey({ database, trust: null }, revocation, commandCall(LIMIT_MS)),
  );
  return wasValid ? [id] : [];
}

/** Keys come on standard input only: an argument would be in the shell history and in the process list. */
async function revokeAllInText(): Promise<readonly string[]> {
  const text = await readText(process.stdin, 'the text with API keys', MAX_TEXT_BYTES);
  const keys = new Set(text.match(KEY) ?? []);
  return openApiKeys(async ({ database, apiKeyDigests }: ApiKeyMaking) => {
    const revoked: string[] = [];
    for (const key of keys) {
      const presented = { key, actor: operator };
      const tools = { database, apiKeyDigests, trust: null };
      const id = await revokePresentedApiKey(tools, presented, commandCall(LIMIT_MS));
      if (id !== null) revoked.push(id);
    }
    return revoked;
  });
}
