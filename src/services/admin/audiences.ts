import { notBuilt } from '../../rpc/not-built.ts';
import type { AdminHandlers } from './admin-dependencies.ts';

/** The RPCs about audiences. */
export function adminAudiences(): Pick<AdminHandlers, 'createAudience' | 'listAudiences' | 'deleteAudience'> {
  return {
    createAudience: notBuilt,
    listAudiences: notBuilt,
    deleteAudience: notBuilt,
  };
}
