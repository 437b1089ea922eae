import type { Knex } from 'knex';

import type { Revocation } from '../../domain/revocation-set.ts';
import { revocationUpsert } from '../revocations/revocation-queries.ts';

/** Longer than any verifier keeps the answer to a key, and as long as an ended key stays on record. */
const KEPT_SECONDS = 86_400;

/**
 * Revokes the API keys of an account whose row the caller has locked. A verifier knows a key by its id, as it knows a token
 * by its `jti`. The tokens that keys were exchanged for are the account's, so `revokeServiceTokens` finds them.
 */
export async function revokeApiKeysOfAccount(db: Knex, accountId: string): Promise<Revocation[]> {
  const { rows } = await db.raw<{ rows: { id: string; expires_at: Date }[] }>(
    `WITH ended AS (
       UPDATE api_keys SET revoked_at = clock_timestamp(), written_by = pg_current_xact_id()
       WHERE account_id = ? AND revoked_at IS NULL
       RETURNING id::text, clock_timestamp() + make_interval(secs => ?) AS expires_at
     ), revoked AS (${revocationUpsert("SELECT 'jti', id, expires_at FROM ended")})
     SELECT id, expires_at FROM ended`,
    [accountId, KEPT_SECONDS],
  );
  return rows.map(({ id, expires_at }) => ({
    kind: 'jti',
    id,
    expiresAtSeconds: Math.ceil(expires_at.getTime() / 1000),
  }));
}
