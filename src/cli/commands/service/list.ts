import { budgetOf } from '../../../domain/operation-call.ts';
import { listServiceAccounts } from '../../../features/service-accounts/list-service-accounts.ts';
import type { ServiceAccount } from '../../../features/service-accounts/service-account-queries.ts';
import type { CommandDefinition } from '../../command.ts';
import { printJson, printTable } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const PAGE = 500;
const LIMIT_MS = 10_000;

/** `postern service list [--json]`; JSON comes as one array. */
export const serviceList: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const accounts = await openDatabaseFor({ schema: true }, async (database) => {
      const all: ServiceAccount[] = [];
      for (let page: ServiceAccount[] | undefined; page === undefined || page.length === PAGE;) {
        const afterId = all.at(-1)?.id ?? null;
        page = await listServiceAccounts(database, { afterId, limit: PAGE }, budgetOf(LIMIT_MS, Date.now()));
        all.push(...page);
      }
      return all;
    });
    if (json) printJson(accounts.map(document));
    else printTable(['CLIENT ID', 'NAME', 'ROLES', 'CREATED', 'SECRET OF', 'BEFORE IT'], accounts.map(row));
  });
};

function row(account: ServiceAccount): string[] {
  const until = account.previousSecretUntil;
  return [
    account.id,
    account.name,
    account.roles.join(','),
    account.createdAt.toISOString(),
    account.secretCreatedAt.toISOString(),
    until === null ? '' : `good until ${until.toISOString()}`,
  ];
}

/** An account as `--json` prints it; the names are those of the gRPC contract. */
function document(account: ServiceAccount): object {
  return {
    client_id: account.id,
    name: account.name,
    roles: account.roles,
    created_at: account.createdAt.toISOString(),
    secret_created_at: account.secretCreatedAt.toISOString(),
    previous_until: account.previousSecretUntil?.toISOString() ?? null,
  };
}
