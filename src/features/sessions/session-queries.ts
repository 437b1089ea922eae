import type { Knex } from 'knex';

import type { RefreshableSession } from './refresh-decision.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { prepared } from '../../database/prepared.ts';
import { purgeBatch } from '../../database/purge-batch.ts';
import type { AuthenticationLevel } from '../../domain/claims/authentication.ts';
import type { StoredAuthentication } from '../../tokens/issue/session-authentications.ts';
import { REVOCATION_MARGIN_SECONDS, revocationUpsert } from '../revocations/revocation-queries.ts';

/** A session and its user as a refresh needs them, read at `nowMs` of the database's clock. */
export interface SessionRecord extends RefreshableSession {
  readonly userId: string;
  readonly nonce: Uint8Array;
  readonly audience: string;
  readonly userDisabled: boolean;
  readonly externalId: string | null;
  /** When the last access token expires that the row accounts for. */
  readonly accessExpiresAtMs: number;
  readonly roles: readonly string[];
  readonly nowMs: number;
  /** Null for a session of a release before second factors. */
  readonly authentication: StoredAuthentication | null;
}

/** Which sessions to end: one session, all sessions of a user but one, all sessions of a user, or all sessions. */
export type SessionSelector =
  'all' | { readonly sessionId: string } | { readonly userId: string; readonly exceptSessionId?: string };

/** The columns of `SESSION_COLUMNS`, as pg reads them. */
export interface SessionRow {
  user_id: string;
  nonce: Buffer;
  generation: number;
  audience: string;
  created_at: Date;
  rotated_at: Date | null;
  access_expires_at: Date;
  expires_at: Date;
  ended_at: Date | null;
  user_disabled: boolean;
  external_id: string | null;
  roles: string[];
  acr: AuthenticationLevel | null;
  amr: string[] | null;
  authenticated_at: Date | null;
  authentication_mac: Buffer | null;
  now: Date;
}

interface EndedRow {
  id: string;
  revoked_until: Date;
}

/** What a `SessionRecord` is made of, from a session `s` and its user `u`. */
export const SESSION_COLUMNS = `s.user_id, s.nonce, s.generation, s.audience, s.created_at, s.rotated_at,
            s.access_expires_at, s.expires_at, s.ended_at, s.acr, s.amr, s.authenticated_at, s.authentication_mac,
            u.disabled_at IS NOT NULL AS user_disabled, u.external_id, u.roles, clock_timestamp() AS now`;

export async function findSession(db: Knex, id: string): Promise<SessionRecord | null> {
  const { rows } = await prepared<{ rows: SessionRow[] }>(
    db,
    'find-session',
    `SELECT ${SESSION_COLUMNS} FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ?`,
    [id],
  );
  return rows[0] ? toSessionRecord(rows[0]) : null;
}

/** Whether a session has ended: by a revocation or at its absolute end. Its last access token may expire a little later. */
export function hasEnded({ ended, nowMs, expiresAtMs }: SessionRecord): boolean {
  return ended || nowMs >= expiresAtMs;
}

/** A session as it is listed: without the nonce, from which its refresh tokens are derived (A06). */
export interface ListedSession {
  readonly id: string;
  readonly userId: string;
  readonly audience: string;
  readonly clientAddress: string | null;
  readonly userAgent: string | null;
  readonly createdAt: Date;
  readonly refreshedAt: Date | null;
  readonly expiresAt: Date;
  readonly endedAt: Date | null;
}

interface ListedRow {
  id: string;
  user_id: string;
  audience: string;
  client_address: string | null;
  user_agent: string | null;
  created_at: Date;
  rotated_at: Date | null;
  expires_at: Date;
  ended_at: Date | null;
}

/** Reads one page of a user's sessions, ordered by id. */
export async function listSessionsOf(
  db: Knex,
  filter: { userId: string; includeEnded: boolean },
  page: { afterId: string | null; limit: number },
): Promise<ListedSession[]> {
  const { rows } = await db.raw<{ rows: ListedRow[] }>(
    `SELECT id, user_id, audience, host(client_address) AS client_address, user_agent,
            created_at, rotated_at, expires_at, ended_at
     FROM sessions
     WHERE user_id = ? AND id > coalesce(?::uuid, '00000000-0000-0000-0000-000000000000')
       ${filter.includeEnded ? '' : 'AND ended_at IS NULL AND expires_at > now()'}
     ORDER BY id LIMIT ?`,
    [filter.userId, page.afterId, page.limit],
  );
  return rows.map((row) => ({
    id: row.id,
    userId: row.user_id,
    audience: row.audience,
    clientAddress: row.client_address,
    userAgent: row.user_agent,
    createdAt: row.created_at,
    refreshedAt: row.rotated_at,
    expiresAt: row.expires_at,
    endedAt: row.ended_at,
  }));
}

/**
 * Records that an access token is issued now for a repeated refresh token of this generation, so that a revocation of the
 * session outlives it (S17).
 *
 * @returns false when the session has ended or was refreshed meanwhile, or its user has been disabled
 */
export async function recordRepeat(
  db: Knex,
  repeat: { id: string; generation: number; accessTokenSeconds: number },
): Promise<boolean> {
  const { rows } = await prepared<{ rows: unknown[] }>(
    db,
    'record-repeat',
    `UPDATE sessions s
     SET access_expires_at = greatest(s.access_expires_at, clock_timestamp() + make_interval(secs => ?))
     FROM users u
     WHERE s.id = ? AND s.generation = ? AND s.ended_at IS NULL AND u.id = s.user_id AND u.disabled_at IS NULL
     RETURNING s.id`,
    [repeat.accessTokenSeconds, repeat.id, repeat.generation],
  );
  return rows.length > 0;
}

/**
 * Ends the selected live sessions and revokes those whose access tokens may still be valid. To end all sessions of a
 * user, the caller must hold the lock on the user's row, so that no login opens another one meanwhile.
 *
 * @returns the revocations of the sessions that were ended
 */
export async function endSessions(
  db: Knex,
  selector: SessionSelector,
  reason: string,
): Promise<Revocation[]> {
  const [condition, values] = conditionOf(selector);
  const { rows } = await db.raw<{ rows: EndedRow[] }>(
    `WITH ${endedAndRevoked(condition)} SELECT * FROM ended`,
    [reason, ...values, REVOCATION_MARGIN_SECONDS],
  );
  return rows.map(toRevocation);
}

/**
 * Blocks every login and refresh until the transaction ends. It removes the statement and lock timeouts of the
 * transaction, so that it waits for as long as needed.
 */
export async function lockAllSessions(trx: Knex): Promise<void> {
  await trx.raw('SET LOCAL statement_timeout = 0');
  await trx.raw('SET LOCAL lock_timeout = 0');
  await trx.raw('LOCK TABLE sessions IN SHARE ROW EXCLUSIVE MODE');
}

/**
 * The parts of a WITH clause that end the sessions of `condition` and revoke them. Their bindings are the reason, the
 * values of the condition, and the revocation margin in seconds.
 */
function endedAndRevoked(condition: string): string {
  return `ended AS (
       UPDATE sessions SET ended_at = clock_timestamp(), end_reason = ? WHERE ${condition} AND ended_at IS NULL
       RETURNING id, access_expires_at + make_interval(secs => ?) AS revoked_until
     ), revoked AS (
       ${revocationUpsert("SELECT 'sid', id::text, revoked_until FROM ended WHERE revoked_until > now()")}
     )`;
}

function toRevocation({ id, revoked_until }: EndedRow): Revocation {
  return { kind: 'sid', id, expiresAtSeconds: Math.ceil(revoked_until.getTime() / 1000) };
}

function conditionOf(selector: SessionSelector): [string, string[]] {
  if (selector === 'all') return ['expires_at > now()', []];
  if ('sessionId' in selector) return ['id = ?', [selector.sessionId]];
  const { userId, exceptSessionId } = selector;
  return exceptSessionId === undefined
    ? ['user_id = ?', [userId]]
    : ['user_id = ? AND id <> ?', [userId, exceptSessionId]];
}

const SECONDS_KEPT_AFTER_END = 86_400;

/**
 * Deletes a batch of sessions past their absolute end and returns how many. Until then a row is kept even when the
 * session has ended: it is needed to detect reuse of an old refresh token (S16).
 */
export function purgeSessions(db: Knex, limit: number): Promise<number> {
  return purgeBatch(db, { table: 'sessions', keptSeconds: SECONDS_KEPT_AFTER_END }, limit);
}

export function toSessionRecord(row: SessionRow): SessionRecord {
  return {
    userId: row.user_id,
    nonce: row.nonce,
    generation: row.generation,
    audience: row.audience,
    createdAtMs: row.created_at.getTime(),
    rotatedAtMs: row.rotated_at?.getTime() ?? null,
    expiresAtMs: row.expires_at.getTime(),
    ended: row.ended_at !== null,
    userDisabled: row.user_disabled,
    externalId: row.external_id,
    accessExpiresAtMs: row.access_expires_at.getTime(),
    roles: row.roles,
    nowMs: row.now.getTime(),
    authentication: storedAuthentication(row),
  };
}

function storedAuthentication(row: SessionRow): StoredAuthentication | null {
  if (row.acr === null || row.authentication_mac === null) return null;
  const authenticatedAtSeconds = row.authenticated_at === null ? null : row.authenticated_at.getTime() / 1000;
  return { acr: row.acr, amr: row.amr ?? [], authenticatedAtSeconds, mac: row.authentication_mac };
}
