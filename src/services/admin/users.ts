import { userEtag } from '../../features/users/user-etag.ts';
import type { User as UserMessage } from '../../generated/postern/v1/admin.ts';
import { createPasswordReset } from '../../features/authentication/password-reset/create-password-reset.ts';
import { createUser } from '../../features/users/create-user.ts';
import { deleteUser } from '../../features/users/delete-user.ts';
import { getUser } from '../../features/users/get-user.ts';
import { listUsers } from '../../features/users/list-users.ts';
import { updateUser } from '../../features/users/update-user.ts';
import { parseUserRef } from '../../features/users/user-ref.ts';
import type { User } from '../../features/users/user-queries.ts';
import { actorOf, type AdminHandlers, type AdminDependencies } from './admin-dependencies.ts';

/** The RPCs about users and their password resets. */
export function adminUsers(
  dependencies: AdminDependencies,
): Pick<
  AdminHandlers,
  'createUser' | 'getUser' | 'listUsers' | 'updateUser' | 'deleteUser' | 'createPasswordReset'
> {
  return {
    createUser: async ({ email, password, roles, id, externalId }, call) => {
      const user = {
        email,
        password: password === '' ? null : password,
        roles,
        id: id === '' ? undefined : id,
        externalId: externalId === '' ? undefined : externalId,
        actor: actorOf(call),
      };
      return userMessage(await createUser(dependencies, user, call));
    },
    getUser: async (request, call) => userMessage(await getUser(dependencies, parseUserRef(request), call)),
    listUsers: async (request, call) => {
      const { rows, nextPageToken } = await listUsers(
        dependencies,
        { ...request, disabled: request.disabled },
        call,
      );
      return { users: rows.map(userMessage), nextPageToken };
    },
    updateUser: async ({ userId, etag, email, roles, disabled }, call) => {
      const changes = { email, roles: roles?.roles, disabled };
      const update = {
        user: { userId },
        etag,
        changes,
        actor: actorOf(call),
        action: 'user.update',
      } as const;
      return userMessage(await updateUser(dependencies, update, call));
    },
    deleteUser: async ({ userId, etag }, call) => {
      await deleteUser(dependencies, { user: { userId }, etag, actor: actorOf(call) }, call);
      return {};
    },
    createPasswordReset: async (request, call) => {
      const reset = { user: parseUserRef(request), actor: actorOf(call) };
      const { userId, resetToken, expiresAt } = await createPasswordReset(dependencies, reset, call);
      return { userId, resetToken: resetToken.reveal(), expiresAt };
    },
  };
}

function userMessage(user: User): UserMessage {
  return {
    id: user.id,
    email: user.email,
    roles: [...user.roles],
    disabled: user.disabled,
    createdAt: user.createdAt,
    updatedAt: user.updatedAt,
    etag: userEtag(user),
    externalId: user.externalId ?? '',
  };
}
