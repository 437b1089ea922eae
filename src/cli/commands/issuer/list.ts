import { listTrustedIssuers } from '../../../features/workloads/manage-issuers.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printTable } from '../../output.ts';
import { readAllPages } from '../../read-all-pages.ts';
import { issuerDocument } from './issuer-view.ts';

const LIMIT_MS = 10_000;

/** `postern issuer list [--json]` */
export const issuerList: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const issuers = await openDatabaseFor({ schema: true }, (database) =>
      readAllPages((page) => listTrustedIssuers({ database }, page, commandCall(LIMIT_MS))),
    );
    if (json) {
      printJson(issuers.map(issuerDocument));
      return;
    }
    printTable(
      ['ID', 'ISSUER', 'KIND', 'KEYS', 'AUDIENCE', 'STATE'],
      issuers.map(({ id, issuer, kind, keys, audience, disabled }) => [
        id,
        issuer,
        kind,
        keys.from,
        audience,
        disabled ? 'disabled' : 'enabled',
      ]),
    );
  });
};
