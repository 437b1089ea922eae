import type { User } from '../../../features/users/user-queries.ts';

export const USER_HEADINGS = ['ID', 'E-MAIL', 'ROLES', 'STATE', 'CREATED'] as const;

export function userRow(user: User): string[] {
  const state = user.disabled ? 'disabled' : 'enabled';
  return [user.id, user.email, user.roles.join(','), state, user.createdAt.toISOString()];
}

/** A user as `--json` prints it. The names are those of the gRPC contract. */
export function userDocument(user: User): object {
  return {
    id: user.id,
    email: user.email,
    roles: user.roles,
    disabled: user.disabled,
    created_at: user.createdAt.toISOString(),
    updated_at: user.updatedAt.toISOString(),
    external_id: user.externalId,
  };
}
