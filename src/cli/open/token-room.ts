import type { Settings } from '../../config/load-settings.ts';
import type { Database } from '../../database/database.ts';
import { tokenRoomOf } from '../../domain/claims/token-room.ts';
import type { CallBudget } from '../../domain/operation-call.ts';
import { listAudiences } from '../../features/audiences/list-audiences.ts';
import { audiencesOf } from './audiences-of.ts';

/** The settings with the audiences at the moment: those of POSTERN_AUDIENCE and the added ones. */
export async function withAddedAudiences(
  database: Database,
  settings: Settings,
  call: CallBudget,
): Promise<Settings> {
  const all = await listAudiences({ database, audiences: audiencesOf(settings) }, call);
  const added = all.filter(({ createdAt }) => createdAt !== null).map(({ name }) => name);
  return { ...settings, audiences: [...settings.audiences, ...added] };
}

/** The room for a user's roles and `external_id` in a token for any audience at the moment. */
export async function readTokenRoom(
  database: Database,
  settings: Settings,
  call: CallBudget,
): Promise<number> {
  return tokenRoomOf(await withAddedAudiences(database, settings, call));
}
