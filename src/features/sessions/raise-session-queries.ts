import type { Knex } from 'knex';

import { prepared } from '../../database/prepared.ts';
import type { StoredAuthentication } from '../../tokens/issue/session-authentications.ts';

interface RaisedRow {
  audience: string;
  roles: string[];
  external_id: string | null;
}

/**
 * Stores the authentication of a session.
 *
 * @param update.accessTokenSeconds the lifetime of the token that is issued next, which a revocation of the session must outlive
 * @returns null for a session that has ended, and for one of another user or of a disabled one; nothing was changed then
 */
export async function updateAuthentication(
  db: Knex,
  update: {
    readonly sessionId: string;
    readonly userId: string;
    readonly stored: StoredAuthentication;
    readonly accessTokenSeconds: number;
  },
): Promise<{
  readonly audience: string;
  readonly roles: readonly string[];
  readonly externalId: string | null;
} | null> {
  const { sessionId, userId, stored, accessTokenSeconds } = update;
  const { rows } = await prepared<{ rows: RaisedRow[] }>(
    db,
    'raise-session',
    `WITH owner AS (
       SELECT id, roles, external_id FROM users WHERE id = ? AND disabled_at IS NULL FOR NO KEY UPDATE
     )
     UPDATE sessions s SET acr = ?, amr = ?::text[], authenticated_at = to_timestamp(?), authentication_mac = ?,
            access_expires_at = greatest(s.access_expires_at, clock_timestamp() + make_interval(secs => ?))
     FROM owner
     WHERE s.id = ? AND s.user_id = owner.id AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
     RETURNING s.audience, owner.roles, owner.external_id`,
    [
      userId,
      stored.acr,
      [...stored.amr],
      stored.authenticatedAtSeconds,
      Buffer.from(stored.mac),
      accessTokenSeconds,
      sessionId,
    ],
  );
  const [row] = rows;
  return row ? { audience: row.audience, roles: row.roles, externalId: row.external_id } : null;
}
