import { createAudience } from '../../features/audiences/create-audience.ts';
import type { Audience } from '../../features/audiences/create-audience.ts';
import { deleteAudience } from '../../features/audiences/delete-audience.ts';
import { listAudiences } from '../../features/audiences/list-audiences.ts';
import type { Audience as AudienceMessage } from '../../generated/postern/v1/admin.ts';
import { actorOf, type AdminDependencies, type AdminHandlers } from './admin-dependencies.ts';

/** The RPCs about audiences. */
export function adminAudiences(
  dependencies: AdminDependencies,
): Pick<AdminHandlers, 'createAudience' | 'listAudiences' | 'deleteAudience'> {
  return {
    createAudience: async ({ name }, call) =>
      audienceMessage(await createAudience(dependencies, { name, actor: actorOf(call) }, call)),
    listAudiences: async (_request, call) => ({
      audiences: (await listAudiences(dependencies, call)).map(audienceMessage),
    }),
    deleteAudience: async ({ name }, call) => {
      await deleteAudience(dependencies, { name, actor: actorOf(call) }, call);
      return {};
    },
  };
}

function audienceMessage({ name, createdAt }: Audience): AudienceMessage {
  return { name, createdAt: createdAt ?? undefined };
}
