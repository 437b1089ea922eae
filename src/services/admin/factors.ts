import { listFactors } from '../../features/second-factors/list-factors.ts';
import { resetFactors } from '../../features/second-factors/reset-factors.ts';
import { getUser } from '../../features/users/get-user.ts';
import { factorListMessage } from '../factor-messages.ts';
import { actorOf, type AdminDependencies, type AdminHandlers } from './admin-dependencies.ts';

/** The RPCs about the second factors of users. */
export function adminFactors(
  dependencies: AdminDependencies,
): Pick<AdminHandlers, 'listFactors' | 'deleteFactors'> {
  return {
    listFactors: async ({ userId }, call) => {
      const user = await getUser(dependencies, { userId }, call);
      return factorListMessage(await listFactors(dependencies, { userId: user.id }, call));
    },
    deleteFactors: async ({ userId }, call) =>
      resetFactors(dependencies, { user: { userId }, actor: actorOf(call) }, call),
  };
}
