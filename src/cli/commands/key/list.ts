import { listAllKeys, type StoredSigningKey } from '../../../features/signing-keys/signing-key-queries.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { printJson, printTable } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 5_000;

/** `postern key list [--json]` */
export const keyList: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const keys = await openDatabaseFor({ schema: true }, (database) =>
      database.run(commandCall(LIMIT_MS), (db) => listAllKeys(db)),
    );
    if (json) printJson(keys.map(keyDocument));
    else printTable(['KID', 'ALGORITHM', 'STATE', 'CREATED', 'NEXT'], keys.map(keyRow));
  });
};

function keyRow(key: StoredSigningKey): string[] {
  return [key.kid, key.algorithm, key.state, time(key.createdAtMs) ?? '', nextChange(key)];
}

function nextChange(key: StoredSigningKey): string {
  if (key.state === 'pending') return `signs from ${time(key.activateAtMs) ?? ''}`;
  if (key.state === 'retired') return `removed after ${time(key.removeAtMs) ?? ''}`;
  return '';
}

function keyDocument(key: StoredSigningKey): object {
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    state: key.state,
    created_at: time(key.createdAtMs),
    activate_at: time(key.activateAtMs),
    activated_at: time(key.activatedAtMs),
    remove_at: time(key.removeAtMs),
  };
}

function time(epochMs: number | null): string | null {
  return epochMs === null ? null : new Date(epochMs).toISOString();
}
