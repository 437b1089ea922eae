import { listServiceAccounts } from '../../../features/service-accounts/list-service-accounts.ts';
import type { ServiceAccount } from '../../../features/service-accounts/service-account-queries.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { printJson, printTable } from '../../output.ts';
import { readAllPages } from '../../read-all-pages.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { accountDocument, audienceList } from './account-view.ts';

const LIMIT_MS = 10_000;

/** `postern service list [--json]` */
export const serviceList: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const accounts = await openDatabaseFor({ schema: true }, (database) =>
      readAllPages((page) => listServiceAccounts({ database }, page, commandCall(LIMIT_MS))),
    );
    if (json) printJson(accounts.map(accountDocument));
    else
      printTable(
        [
          'CLIENT ID',
          'NAME',
          'ROLES',
          'MAY ASK FOR',
          'SERVES',
          'ACTS TOWARDS',
          'CREATED',
          'SECRET CREATED',
          'PREVIOUS SECRET',
        ],
        accounts.map(accountRow),
      );
  });
};

function accountRow(account: ServiceAccount): string[] {
  const until = account.previousSecretUntil;
  return [
    account.id,
    account.name,
    account.roles.join(','),
    audienceList(account.allowedAudiences),
    audienceList(account.ownAudiences),
    audienceList(account.delegationAudiences),
    account.createdAt.toISOString(),
    account.secretCreatedAt.toISOString(),
    until === null ? '' : `valid until ${until.toISOString()}`,
  ];
}
