import type { Settings } from '../../config/load-settings.ts';
import type { Database } from '../../database/database.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import { MAX_ISSUED_TOKEN_BYTES, tokenRoomOf } from '../../domain/claims/token-room.ts';
import { countUsersBeyondTokenRoom } from '../../features/users/user-queries.ts';
import { withAddedAudiences } from '../open/token-room.ts';
import { faultOf, type Finding } from './finding.ts';

/**
 * Checks that a token fits every user with an external id. It did under the settings under which the user was stored; a longer
 * issuer or audience, or another algorithm, may leave too little room (T26).
 */
export async function tokenRoomFindings(
  database: Database,
  settings: Settings,
  limitMs: number,
): Promise<Finding[]> {
  try {
    const budget = budgetOf(limitMs, Date.now());
    const current = await withAddedAudiences(database, settings, budget);
    const users = await database.run(budget, (db) => countUsersBeyondTokenRoom(db, tokenRoomOf(current)));
    return userFindings(users);
  } catch (error) {
    return [faultOf('database', error)];
  }
}

function userFindings({
  count,
  firstId,
}: {
  readonly count: number;
  readonly firstId: string | null;
}): Finding[] {
  if (count === 0) return [];
  return [
    {
      check: 'settings',
      verdict: 'warning',
      message: `${count} ${count === 1 ? 'user has' : 'users have'} roles and an external id that do not fit into a token of ${MAX_ISSUED_TOKEN_BYTES} bytes, and cannot log in; one is ${String(firstId)}`,
      advice: 'Give them fewer roles, shorten POSTERN_ISSUER or the longest audience, or use ES256.',
    },
  ];
}
