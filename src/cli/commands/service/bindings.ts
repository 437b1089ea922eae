import { Rejected } from '../../../domain/rejection.ts';
import { listServiceAccounts } from '../../../features/service-accounts/list-service-accounts.ts';
import { listBindings } from '../../../features/workloads/manage-bindings.ts';
import { listTrustedIssuers } from '../../../features/workloads/manage-issuers.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printTable } from '../../output.ts';
import { readAllPages } from '../../read-all-pages.ts';
import { bindingDocument } from './bind.ts';

const LIMIT_MS = 10_000;

/** `postern service bindings [NAME] [--json]` */
export const serviceBindings: CommandDefinition = (command) => {
  command
    .argument('[name]', 'the name or the client id of one account')
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, { json }: { json?: boolean }) => {
      const { accounts, issuers, bindings } = await openDatabaseFor({ schema: true }, async (database) => {
        const call = commandCall(LIMIT_MS);
        const all = await readAllPages((page) => listServiceAccounts({ database }, page, call));
        const account = all.find((known) => name === known.id || name === known.name);
        if (name !== undefined && account === undefined)
          throw new Rejected({ kind: 'not-found', resource: 'service account' });
        const filter = { issuerId: null, accountId: account?.id ?? null };
        return {
          accounts: new Map(all.map((known) => [known.id, known.name])),
          issuers: new Map(
            (await readAllPages((page) => listTrustedIssuers({ database }, page, call))).map((known) => [
              known.id,
              known.issuer,
            ]),
          ),
          bindings: await readAllPages((page) => listBindings({ database }, filter, page, call)),
        };
      });
      if (json) {
        printJson(bindings.map(bindingDocument));
        return;
      }
      printTable(
        ['ID', 'ACCOUNT', 'ISSUER', 'CLAIMS', 'ROLES'],
        bindings.map(({ id, issuerId, accountId, claims, roles }) => [
          id,
          accounts.get(accountId) ?? accountId,
          issuerId === null ? '(client certificate)' : (issuers.get(issuerId) ?? issuerId),
          Object.entries(claims)
            .map(([path, value]) => `${path}=${value}`)
            .join(' '),
          roles === null ? '(all)' : roles.join(','),
        ]),
      );
    });
};
