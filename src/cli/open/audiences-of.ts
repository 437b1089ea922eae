import type { Settings } from '../../config/load-settings.ts';
import type { AudienceDependencies } from '../../features/audiences/create-audience.ts';

/** The audiences as a command knows them. The database notifies the running instances of a change. */
export function audiencesOf({ audiences }: Settings): AudienceDependencies['audiences'] {
  return { configured: audiences, refresh: () => Promise.resolve() };
}
