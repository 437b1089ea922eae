import type { Knex } from 'knex';

import type { SealedTotp } from './factor-queries.ts';
import type { PasskeyRow } from './passkeys/passkey-macs.ts';

/** One page of the TOTP factors of all users, ordered by id. */
export async function listStoredTotps(
  db: Knex,
  page: { readonly afterId: string | null; readonly limit: number },
): Promise<SealedTotp[]> {
  const { rows } = await db.raw<{ rows: { id: string; user_id: string; sealed_secret: Buffer }[] }>(
    `SELECT id, user_id, sealed_secret FROM factors
     WHERE kind = 'totp' AND id > coalesce(?::uuid, '00000000-0000-0000-0000-000000000000')
     ORDER BY id LIMIT ?`,
    [page.afterId, page.limit],
  );
  return rows.map((row) => ({ id: row.id, userId: row.user_id, sealedSecret: row.sealed_secret }));
}

interface StoredPasskeyRow {
  id: string;
  user_id: string;
  credential_id: Buffer;
  cose_key: Buffer;
  backup_eligible: boolean;
  mac: Buffer;
}

/** One page of the passkeys of all users, ordered by id, with their MACs. */
export async function listStoredPasskeys(
  db: Knex,
  page: { readonly afterId: string | null; readonly limit: number },
): Promise<(PasskeyRow & { readonly mac: Uint8Array })[]> {
  const { rows } = await db.raw<{ rows: StoredPasskeyRow[] }>(
    `SELECT id, user_id, credential_id, cose_key, backup_eligible, mac FROM factors
     WHERE kind = 'passkey' AND id > coalesce(?::uuid, '00000000-0000-0000-0000-000000000000')
     ORDER BY id LIMIT ?`,
    [page.afterId, page.limit],
  );
  return rows.map(({ id, user_id, credential_id, cose_key, backup_eligible, mac }) => ({
    id,
    userId: user_id,
    credentialId: credential_id,
    coseKey: cose_key,
    backupEligible: backup_eligible,
    mac,
  }));
}

/** Those of the roles that no user has. */
export async function listRolesWithoutUser(db: Knex, roles: readonly string[]): Promise<readonly string[]> {
  const { rows } = await db.raw<{ rows: { role: string }[] }>(
    `SELECT role FROM unnest(?::text[]) AS role
     WHERE NOT EXISTS (SELECT FROM users WHERE roles @> ARRAY[role]) ORDER BY role`,
    [[...roles]],
  );
  return rows.map(({ role }) => role);
}

/** How many enabled users have one of the roles, and the e-mail addresses of the first of them without a confirmed factor. */
export async function countUsersWithoutFactor(
  db: Knex,
  roles: readonly string[],
  limit: number,
): Promise<{ readonly users: number; readonly withoutFactor: number; readonly emails: readonly string[] }> {
  const { rows } = await db.raw<{ rows: { users: number; without_factor: number; emails: string[] }[] }>(
    `WITH holders AS (
       SELECT u.email, EXISTS (SELECT FROM factors f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL) AS has_factor
       FROM users u WHERE u.roles && ?::text[] AND u.disabled_at IS NULL
     )
     SELECT count(*)::int AS users, (count(*) FILTER (WHERE NOT has_factor))::int AS without_factor,
            ARRAY(SELECT email FROM holders WHERE NOT has_factor ORDER BY email LIMIT ?) AS emails
     FROM holders`,
    [[...roles], limit],
  );
  const [row] = rows;
  return { users: row?.users ?? 0, withoutFactor: row?.without_factor ?? 0, emails: row?.emails ?? [] };
}
