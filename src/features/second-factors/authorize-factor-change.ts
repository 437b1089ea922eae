import type { Caller } from '../../domain/caller.ts';
import { authenticationFault } from '../../domain/claims/authentication.ts';
import { Rejected } from '../../domain/rejection.ts';
import { isUuid } from '../../domain/validation.ts';
import type { Transaction } from '../../database/database.ts';
import { sessionEnded } from '../sessions/session-ended.ts';
import { findSession, hasEnded } from '../sessions/session-queries.ts';
import { lockUserDetails, type User } from '../users/user-queries.ts';
import { countFactors } from './factor-queries.ts';

/** How old the proof of a session may be that changes factors: long enough to fetch a phone, too short for a stolen token. */
export const MAX_PROOF_AGE_SECONDS = 300;

/** A user whose row is locked, and who may change factors now. */
export interface AuthorizedChange {
  readonly user: User;
  readonly sessionId: string;
  /** The number of confirmed factors. */
  readonly factors: number;
}

/**
 * Locks the user of a call and requires that their session lives and was proven just now, with a factor if there is one: whoever
 * steals an access token must not add a factor of his own or delete the user's. The factors are counted under the lock, so that one
 * that is added at the same moment counts.
 *
 * @throws Rejected `step-up-required`, `token-refused` (the session has ended), `store-unavailable`
 */
export async function authorizeFactorChange(
  trx: Transaction,
  caller: Caller,
  nowMs: number,
): Promise<AuthorizedChange> {
  const { id, sessionId, claims } = caller;
  const user = isUuid(id) ? await lockUserDetails(trx, { id }) : null;
  // A token that another program signed with the shared secret may name a session that is not in the table.
  const session = sessionId !== null && isUuid(sessionId) ? await findSession(trx, sessionId) : null;
  if (!user || user.disabled || sessionId === null || session === null) throw sessionEnded();
  if (hasEnded(session) || session.userId !== user.id) throw sessionEnded();
  const factors = await countFactors(trx, user.id);
  const requirement = {
    minAcr: factors > 0 ? 'aal2' : null,
    maxAuthAgeSeconds: MAX_PROOF_AGE_SECONDS,
  } as const;
  const proof = claims ?? { acr: null, authenticatedAtSeconds: null };
  const detail = authenticationFault(proof, requirement, nowMs / 1000);
  if (detail !== null)
    throw new Rejected({ kind: 'step-up-required', detail, caller: { type: 'user', id: user.id } });
  return { user, sessionId, factors };
}
