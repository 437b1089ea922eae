import { requireValid, uuid } from '../domain/field-rules.ts';
import type { ServiceCredentials } from '../generated/postern/v1/admin.ts';
import { createServiceAccount } from '../operations/create-service-account.ts';
import { deleteServiceAccount } from '../operations/delete-service-account.ts';
import { listPage } from '../operations/list-page.ts';
import { listServiceAccounts } from '../operations/list-service-accounts.ts';
import { defaultOverlapSeconds, rotateServiceSecret } from '../operations/rotate-service-secret.ts';
import { actorOf, type AdminHandlers, type AdminTools } from './admin-tools.ts';

type MadeSecret = Awaited<ReturnType<typeof createServiceAccount>>;

/** The RPCs about programs that have tokens of their own. */
export function adminServiceAccounts(
  tools: AdminTools,
): Pick<
  AdminHandlers,
  'createServiceAccount' | 'listServiceAccounts' | 'deleteServiceAccount' | 'rotateServiceSecret'
> {
  const { database, cursors } = tools;
  return {
    createServiceAccount: async ({ name, roles }, call) =>
      credentials(await createServiceAccount(tools, { name, roles, actor: actorOf(call) }, call)),
    listServiceAccounts: async (request, call) => {
      const { rows, nextPageToken } = await listPage(cursors, ['service-accounts'], request, (position) =>
        listServiceAccounts(database, position, call),
      );
      const serviceAccounts = rows.map(({ id, roles, previousSecretUntil, ...account }) => ({
        ...account,
        clientId: id,
        roles: [...roles],
        previousSecretUntil: previousSecretUntil ?? undefined,
      }));
      return { serviceAccounts, nextPageToken };
    },
    deleteServiceAccount: async ({ clientId }, call) => {
      requireValid({ clientId: uuid }, { clientId });
      await deleteServiceAccount(tools, { account: { id: clientId }, actor: actorOf(call) }, call);
      return {};
    },
    rotateServiceSecret: async ({ clientId, overlap }, call) => {
      requireValid({ clientId: uuid }, { clientId });
      const overlapSeconds = overlap ?? defaultOverlapSeconds;
      const change = { account: { id: clientId }, overlapSeconds, actor: actorOf(call) };
      return credentials(await rotateServiceSecret(tools, change, call));
    },
  };
}

function credentials({ account, clientSecret }: MadeSecret): ServiceCredentials {
  return {
    clientId: account.id,
    clientSecret: clientSecret.reveal(),
    previousSecretUntil: account.previousSecretUntil ?? undefined,
  };
}
