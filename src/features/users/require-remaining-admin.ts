import { ADMIN_ROLE } from '../../domain/caller.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Transaction } from '../../database/database.ts';
import { lockOthersWithRole, type User } from './user-queries.ts';

/**
 * Refuses a change that would leave no enabled user with the role `admin`, also when two such changes run concurrently
 * (A05). Service accounts do not count: a person must be able to repair the installation.
 *
 * @param before the user before the change; the transaction has locked its row
 * @param after the user after the change; null when it deletes the user
 * @throws Rejected `last-admin`
 */
export async function requireRemainingAdmin(
  trx: Transaction,
  before: User,
  after: Pick<User, 'roles' | 'disabled'> | null,
): Promise<void> {
  if (!isEnabledAdmin(before) || (after !== null && isEnabledAdmin(after))) return;
  if (!(await lockOthersWithRole(trx, before.id, ADMIN_ROLE))) throw new Rejected({ kind: 'last-admin' });
}

function isEnabledAdmin({ roles, disabled }: Pick<User, 'roles' | 'disabled'>): boolean {
  return !disabled && roles.includes(ADMIN_ROLE);
}
