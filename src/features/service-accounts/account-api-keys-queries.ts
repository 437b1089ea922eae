import type { Knex } from 'knex';

import type { Revocation, RevocationKind } from '../../domain/revocation-set.ts';

/**
 * Ends the API keys of an account whose row the caller has locked, with the tokens that they were exchanged for. The
 * deletion of their rows would end them as well, but this process would learn it later.
 */
export async function revokeApiKeysOfAccount(db: Knex, accountId: string): Promise<Revocation[]> {
  const { rows } = await db.raw<{ rows: { kind: RevocationKind; id: string; expires_at: Date }[] }>(
    `SELECT kind, id, expires_at FROM postern_end_api_keys_1(ARRAY(
       SELECT id FROM api_keys WHERE account_id = ? AND revoked_at IS NULL))`,
    [accountId],
  );
  return rows.map(({ kind, id, expires_at }) => ({
    kind,
    id,
    expiresAtSeconds: Math.ceil(expires_at.getTime() / 1000),
  }));
}
