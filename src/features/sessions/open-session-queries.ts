import type { Knex } from 'knex';

import type { Revocation } from '../../domain/revocation-set.ts';
import { prepared } from '../../database/prepared.ts';
import { REVOCATION_MARGIN_SECONDS } from '../revocations/revocation-queries.ts';

export interface NewSession {
  readonly id: string;
  readonly userId: string;
  /** From `RefreshTokens.nonceFor`. */
  readonly nonce: Uint8Array;
  readonly audience: string;
  readonly clientAddress: string | null;
  readonly userAgent: string | null;
  readonly lifetimeSeconds: number;
  readonly accessTokenSeconds: number;
}

/** The attempt in the login throttle that a session forgives: its source becomes known, and its failure is taken back. */
export interface ForgivenAttempt {
  readonly pair: Uint8Array;
  readonly account: Uint8Array;
  readonly knownSourceSeconds: number;
}

export interface SessionOpening {
  readonly session: NewSession;
  /** The stored hash that the password was compared with; null for a user without a password. */
  readonly expectedHash: string | null;
  /** Replaces the stored hash; null to keep it. */
  readonly strongerHash: string | null;
  /** More live sessions of the user than this end, the oldest first (S14). */
  readonly maxSessions: number;
  readonly forgiven: ForgivenAttempt;
  readonly event: { readonly id: string; readonly action: string; readonly requestId: string | null };
}

/** `hash-changed`: another hash was stored since the comparison. */
export type SessionOutcome =
  | {
      readonly outcome: 'opened';
      readonly roles: readonly string[];
      readonly externalId: string | null;
      /** The revocations of the sessions that were ended. */
      readonly revocations: readonly Revocation[];
    }
  | { readonly outcome: 'unknown-user' | 'disabled' | 'hash-changed' };

interface OutcomeRow {
  outcome: SessionOutcome['outcome'];
  user_roles: string[];
  user_external_id: string | null;
  ended_ids: string[] | null;
  revoked_until: number[] | null;
}

/**
 * Locks the user, compares the stored hash and opens a session with its audit row, in one statement. It ends the user's
 * oldest live sessions beyond the limit, forgives the attempt and stores the stronger hash. When the user may not log in any
 * more, nothing is changed.
 */
export async function insertSession(db: Knex, opening: SessionOpening): Promise<SessionOutcome> {
  const { session, expectedHash, strongerHash, maxSessions, forgiven, event } = opening;
  const { rows } = await prepared<{ rows: [OutcomeRow] }>(
    db,
    'open-session',
    'SELECT * FROM postern_open_session_1(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    [
      session.userId,
      expectedHash,
      strongerHash,
      session.id,
      Buffer.from(session.nonce),
      session.audience,
      session.clientAddress,
      session.userAgent,
      session.accessTokenSeconds,
      session.lifetimeSeconds,
      maxSessions,
      REVOCATION_MARGIN_SECONDS,
      event.id,
      event.action,
      event.requestId,
      Buffer.from(forgiven.pair),
      Buffer.from(forgiven.account),
      forgiven.knownSourceSeconds,
    ],
  );
  const [row] = rows;
  if (row.outcome !== 'opened') return { outcome: row.outcome };
  const revokedUntil = row.revoked_until ?? [];
  const revocations = (row.ended_ids ?? []).map((id, at): Revocation => {
    return { kind: 'sid', id, expiresAtSeconds: revokedUntil[at] ?? 0 };
  });
  return { outcome: 'opened', roles: row.user_roles, externalId: row.user_external_id, revocations };
}
