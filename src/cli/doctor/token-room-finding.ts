import type { Settings } from '../../config/load-settings.ts';
import type { Database } from '../../database/database.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import { MAX_ISSUED_TOKEN_BYTES, serviceTokenRoomOf, tokenRoomOf } from '../../domain/claims/token-room.ts';
import { countNamesBeyondTokenRoom } from '../../features/service-accounts/service-account-queries.ts';
import { type CountedUsers, countUsersBeyondTokenRoom } from '../../features/users/user-queries.ts';
import { withAddedAudiences } from '../open/token-room.ts';
import { faultOf, type Finding } from './finding.ts';

/**
 * Checks that a token fits every user, with the claims of a level, and the name of every service account. It did fit the user under
 * the settings under which the user was stored; a longer issuer or audience, or another algorithm, may leave too little
 * room (T26).
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
    const accounts = await database.run(budget, (db) =>
      countNamesBeyondTokenRoom(db, serviceTokenRoomOf(current)),
    );
    return [
      ...userFindings(users.withoutToken),
      ...levelFindings(users.withoutLevel),
      ...accountFindings(accounts),
    ];
  } catch (error) {
    return [faultOf('database', error)];
  }
}

function userFindings({ count, firstId }: CountedUsers): Finding[] {
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

function levelFindings({ count, firstId }: CountedUsers): Finding[] {
  if (count === 0) return [];
  return [
    {
      check: 'settings',
      verdict: 'warning',
      message: `${count} ${count === 1 ? 'user has' : 'users have'} roles and an external id beside which acr and auth_time do not fit into a token of ${MAX_ISSUED_TOKEN_BYTES} bytes: no second factor counts for them where one is required; one is ${String(firstId)}`,
      advice: 'Give them fewer roles, shorten POSTERN_ISSUER or the longest audience, or use ES256.',
    },
  ];
}

function accountFindings({ count, firstId }: CountedUsers): Finding[] {
  if (count === 0) return [];
  return [
    {
      check: 'settings',
      verdict: 'warning',
      message: `${count} service ${count === 1 ? 'account has' : 'accounts have'} a name that does not fit beside the roles into a token of ${MAX_ISSUED_TOKEN_BYTES} bytes, and get tokens without it; one is ${String(firstId)}`,
      advice: 'Give them fewer roles, shorten POSTERN_ISSUER or the longest audience, or use ES256.',
    },
  ];
}
