import { requireValid, uuid } from '../../domain/validation.ts';
import type {
  ServiceAccount as ServiceAccountMessage,
  ServiceCredentials,
} from '../../generated/postern/v1/admin.ts';
import { createServiceAccount } from '../../features/service-accounts/create-service-account.ts';
import { deleteServiceAccount } from '../../features/service-accounts/delete-service-account.ts';
import { addServiceKey } from '../../features/service-accounts/keys/add-service-key.ts';
import { deleteServiceKey } from '../../features/service-accounts/keys/delete-service-key.ts';
import { listServiceKeys } from '../../features/service-accounts/keys/list-service-keys.ts';
import { keyId } from '../../features/service-accounts/keys/service-key.ts';
import { EVERY_AUDIENCE } from '../../features/audiences/audience-name.ts';
import type { ServiceAccount } from '../../features/service-accounts/service-account-queries.ts';
import { listPage } from '../../domain/paging.ts';
import { listServiceAccounts } from '../../features/service-accounts/list-service-accounts.ts';
import {
  DEFAULT_OVERLAP_SECONDS,
  rotateServiceSecret,
} from '../../features/service-accounts/rotate-service-secret.ts';
import { updateServiceAccount } from '../../features/service-accounts/update-service-account.ts';
import { actorOf, type AdminHandlers, type AdminDependencies } from './admin-dependencies.ts';

type CreatedSecret = Awaited<ReturnType<typeof createServiceAccount>>;

/** The RPCs about service accounts. */
export function adminServiceAccounts(
  dependencies: AdminDependencies,
): Pick<
  AdminHandlers,
  | 'createServiceAccount'
  | 'listServiceAccounts'
  | 'deleteServiceAccount'
  | 'rotateServiceSecret'
  | 'updateServiceAccount'
  | 'addServiceKey'
  | 'listServiceKeys'
  | 'deleteServiceKey'
> {
  const { cursors } = dependencies;
  return {
    createServiceAccount: async (request, call) => {
      const { allowedAudiences, ...account } = request;
      const created = {
        ...account,
        // An empty repeated field is one that was not given.
        ...(allowedAudiences.length > 0 && { allowedAudiences }),
        actor: actorOf(call),
      };
      return credentials(await createServiceAccount(dependencies, created, call));
    },
    listServiceAccounts: async (request, call) => {
      const { rows, nextPageToken } = await listPage(cursors, ['service-accounts'], request, (position) =>
        listServiceAccounts(dependencies, position, call),
      );
      return { serviceAccounts: rows.map(accountMessage), nextPageToken };
    },
    deleteServiceAccount: async ({ clientId }, call) => {
      requireValid({ clientId: uuid }, { clientId });
      await deleteServiceAccount(dependencies, { account: { id: clientId }, actor: actorOf(call) }, call);
      return {};
    },
    rotateServiceSecret: async ({ clientId, overlap }, call) => {
      requireValid({ clientId: uuid }, { clientId });
      const overlapSeconds = overlap ?? DEFAULT_OVERLAP_SECONDS;
      const change = { account: { id: clientId }, overlapSeconds, actor: actorOf(call) };
      return credentials(await rotateServiceSecret(dependencies, change, call));
    },
    updateServiceAccount: async (request, call) => {
      const { clientId, roles, allowedAudiences, ownAudiences, delegationAudiences } = request;
      requireValid({ clientId: uuid }, { clientId });
      const changes = {
        roles: roles?.roles,
        allowedAudiences: allowedAudiences?.audiences,
        ownAudiences: ownAudiences?.audiences,
        delegationAudiences: delegationAudiences?.audiences,
      };
      const update = { account: { id: clientId }, changes, actor: actorOf(call) };
      return accountMessage(await updateServiceAccount(dependencies, update, call));
    },
    addServiceKey: ({ clientId, publicJwk }, call) => {
      requireValid({ clientId: uuid }, { clientId });
      return addServiceKey(
        dependencies,
        { account: { id: clientId }, publicJwk, actor: actorOf(call) },
        call,
      );
    },
    listServiceKeys: async ({ clientId }, call) => {
      requireValid({ clientId: uuid }, { clientId });
      const serviceKeys = await listServiceKeys(dependencies, { account: { id: clientId } }, call);
      return { serviceKeys: serviceKeys.map((key) => ({ ...key })) };
    },
    deleteServiceKey: async ({ clientId, kid }, call) => {
      requireValid({ clientId: uuid, kid: keyId }, { clientId, kid });
      const deleted = { account: { id: clientId }, kid, actor: actorOf(call) };
      return { revokedTokens: (await deleteServiceKey(dependencies, deleted, call)).revokedTokens };
    },
  };
}

function accountMessage(account: ServiceAccount): ServiceAccountMessage {
  return {
    clientId: account.id,
    name: account.name,
    roles: [...account.roles],
    createdAt: account.createdAt,
    secretCreatedAt: account.secretCreatedAt,
    previousSecretUntil: account.previousSecretUntil ?? undefined,
    allowedAudiences: [...(account.allowedAudiences ?? [EVERY_AUDIENCE])],
    ownAudiences: [...account.ownAudiences],
    delegationAudiences: [...account.delegationAudiences],
  };
}

function credentials({ account, clientSecret }: CreatedSecret): ServiceCredentials {
  return {
    clientId: account.id,
    clientSecret: clientSecret.reveal(),
    previousSecretUntil: account.previousSecretUntil ?? undefined,
  };
}
