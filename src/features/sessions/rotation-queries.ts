import type { CallOrigin } from '../../domain/operation-call.ts';
import type { PreparedStatement } from '../../database/database.ts';
import { auditInsertOf, newAuditEventId, recordedRequestId } from '../audit/audit-queries.ts';
import { SESSION_COLUMNS, type SessionRecord, type SessionRow, toSessionRecord } from './session-queries.ts';

/** A presented refresh token that may become the predecessor of the newest one. */
export interface Rotation {
  readonly sessionId: string;
  /** The random part of the session's nonce. */
  readonly nonce: Uint8Array;
  /** The generation after that of the token. */
  readonly to: number;
  readonly origin: CallOrigin;
}

/** What decides about a rotation besides the session. */
export interface RotationPolicy {
  readonly idleSeconds: number;
  readonly accessTokenSeconds: number;
  /** A session for another audience is not refreshed. */
  readonly audiences: readonly string[];
  /** `daily`: only the first refresh of a session on each day, in UTC, is recorded in the audit trail. */
  readonly auditRefreshes: 'all' | 'daily';
}

/** What a rotation found, and what it did. */
export interface RotationResult {
  /** The session before the rotation. */
  readonly session: SessionRecord;
  /** When this rotation made `to` the newest generation; null when it did not. */
  readonly rotatedAtMs: number | null;
}

export interface RotationRow extends SessionRow {
  readonly id: string;
  readonly rotated_now: Date | null;
}

/**
 * One statement finds a session, makes `to` its newest generation where `decideRefresh` says `rotate`, audits that as the policy
 * says, and returns the session either way. Of concurrent calls one rotates; the others find the row changed when they get its lock
 * (S03). No row means that there is no session with this nonce.
 */
export function rotateSession(rotation: Rotation, policy: RotationPolicy): PreparedStatement {
  const { sessionId, nonce, to, origin } = rotation;
  return {
    name: 'refresh-session',
    text: SINGLE,
    values: [
      ...policyValues(policy),
      sessionId,
      Buffer.from(nonce),
      to,
      newAuditEventId(),
      origin.address,
      origin.userAgent,
      recordedRequestId(origin),
    ],
  };
}

/**
 * The same for several sessions. Rows that another transaction has locked are left out of the result, as unknown ones are:
 * waiting for them would delay the others, and statements that lock the same rows in another order would deadlock.
 *
 * @param rotations of distinct sessions
 */
export function rotateSessions(rotations: readonly Rotation[], policy: RotationPolicy): PreparedStatement {
  return {
    name: 'refresh-sessions',
    text: BATCH,
    values: [
      ...policyValues(policy),
      rotations.map(({ sessionId }) => sessionId),
      rotations.map(({ nonce }) => Buffer.from(nonce)),
      rotations.map(({ to }) => to),
      rotations.map(newAuditEventId),
      rotations.map(({ origin }) => origin.address),
      rotations.map(({ origin }) => origin.userAgent),
      rotations.map(({ origin }) => recordedRequestId(origin)),
    ],
  };
}

export function toRotationResult(row: RotationRow): RotationResult {
  return { session: toSessionRecord(row), rotatedAtMs: row.rotated_now?.getTime() ?? null };
}

function policyValues(policy: RotationPolicy): unknown[] {
  const { idleSeconds, accessTokenSeconds, audiences, auditRefreshes } = policy;
  return [idleSeconds, accessTokenSeconds, audiences, auditRefreshes === 'all'];
}

/**
 * Whether a refresh is recorded: each one, or only one that follows a refresh of another day, or none. Of another, since the one
 * before may be dated ahead, by a clock of the database that has been corrected.
 */
const RECORDED = `$4::boolean OR (found.rotated_at AT TIME ZONE 'UTC')::date
         IS DISTINCT FROM (rotated.rotated_now AT TIME ZONE 'UTC')::date`;

const SINGLE = rotationSql(
  `(SELECT $5::uuid AS id, $6::bytea AS nonce, $7::integer AS to_generation, $8::uuid AS event_id,
           $9::inet AS address, $10::text AS agent, $11::text AS request)`,
);

const BATCH = rotationSql(
  `unnest($5::uuid[], $6::bytea[], $7::integer[], $8::uuid[], $9::inet[], $10::text[], $11::text[])`,
  'FOR NO KEY UPDATE OF s SKIP LOCKED',
);

/**
 * The time of the decision is that of the session's row as it was read, so that the WHERE clause and `decideRefresh` judge by
 * the same one. `t` is the row as it is when its lock has been granted.
 */
function rotationSql(presented: string, locking = ''): string {
  const audited = auditInsertOf(`rotated JOIN found USING (id) WHERE ${RECORDED}`, {
    id: 'found.event_id',
    action: "'token.refresh'",
    outcome: "'ok'",
    actor_type: "'user'",
    actor_id: 'found.user_id::text',
    target_type: "'session'",
    target_id: 'found.id::text',
    client_address: 'found.address',
    user_agent: 'found.agent',
    request_id: 'found.request',
  });
  return `WITH found AS (
       SELECT s.id, ${SESSION_COLUMNS}, p.to_generation, p.event_id, p.address, p.agent, p.request
       FROM ${presented} AS p (id, nonce, to_generation, event_id, address, agent, request)
       JOIN sessions s ON s.id = p.id AND substring(s.nonce FROM 1 FOR 16) = p.nonce
       JOIN users u ON u.id = s.user_id
       ${locking}
     ), rotated AS (
       UPDATE sessions t SET generation = found.to_generation, rotated_at = clock_timestamp(),
              access_expires_at = clock_timestamp() + make_interval(secs => $2)
       FROM found
       WHERE t.id = found.id AND t.generation < found.to_generation AND t.ended_at IS NULL
         AND NOT found.user_disabled AND t.audience = ANY ($3::text[])
         AND found.now < least(t.expires_at, coalesce(t.rotated_at, t.created_at) + make_interval(secs => $1))
       RETURNING t.id, t.rotated_at AS rotated_now
     ), audited AS (${audited})
     SELECT found.id, user_id, nonce, generation, audience, created_at, rotated_at, access_expires_at, expires_at, ended_at,
            acr, amr, authenticated_at, authentication_mac, user_disabled, external_id, roles, now, rotated_now
     FROM found LEFT JOIN rotated USING (id)`;
}
