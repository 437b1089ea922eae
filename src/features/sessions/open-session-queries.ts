import type { Knex } from 'knex';

import type { Revocation } from '../../domain/revocation-set.ts';
import { prepared } from '../../database/prepared.ts';
import type { SecondFactorName } from '../../domain/rejection.ts';
import type { StoredAuthentication } from '../../tokens/issue/session-authentications.ts';
import { REVOCATION_MARGIN_SECONDS } from '../revocations/revocation-queries.ts';

export interface NewSession {
  readonly id: string;
  readonly userId: string;
  /** From `RefreshTokens.nonceFor`. */
  readonly nonce: Uint8Array;
  readonly audience: string;
  readonly clientAddress: string | null;
  readonly userAgent: string | null;
  readonly authentication: StoredAuthentication;
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
  readonly event: {
    readonly id: string;
    readonly action: string;
    readonly details: Readonly<Record<string, unknown>> | null;
    readonly requestId: string | null;
  };
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
  | { readonly outcome: 'second-factor-required'; readonly factors: readonly SecondFactorName[] }
  | { readonly outcome: 'unknown-user' | 'disabled' | 'hash-changed' };

interface OutcomeRow {
  outcome: SessionOutcome['outcome'];
  user_roles: string[];
  user_external_id: string | null;
  factor_names: SecondFactorName[] | null;
  ended_ids: string[] | null;
  revoked_until: number[] | null;
}

/**
 * Locks the user, compares the stored hash and opens a session with its audit row, in one statement. A user with a second factor
 * gets no session below level `aal2`. It ends the user's oldest live sessions beyond the limit, forgives the attempt and stores
 * the stronger hash. When the user may not log in any more, nothing is changed.
 */
export async function insertSession(db: Knex, opening: SessionOpening): Promise<SessionOutcome> {
  const { session, expectedHash, strongerHash, maxSessions, forgiven, event } = opening;
  const { rows } = await prepared<{ rows: [OutcomeRow] }>(
    db,
    'open-session',
    'SELECT * FROM postern_open_session_2(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
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
      session.authentication.acr,
      [...session.authentication.amr],
      session.authentication.authenticatedAtSeconds,
      Buffer.from(session.authentication.mac),
      maxSessions,
      REVOCATION_MARGIN_SECONDS,
      event.id,
      event.action,
      event.details === null ? null : JSON.stringify(event.details),
      event.requestId,
      Buffer.from(forgiven.pair),
      Buffer.from(forgiven.account),
      forgiven.knownSourceSeconds,
    ],
  );
  const [row] = rows;
  if (row.outcome === 'second-factor-required')
    return { outcome: row.outcome, factors: row.factor_names ?? [] };
  if (row.outcome !== 'opened') return { outcome: row.outcome };
  const revokedUntil = row.revoked_until ?? [];
  const revocations = (row.ended_ids ?? []).map((id, at): Revocation => {
    return { kind: 'sid', id, expiresAtSeconds: revokedUntil[at] ?? 0 };
  });
  return { outcome: 'opened', roles: row.user_roles, externalId: row.user_external_id, revocations };
}
