import type { Knex } from 'knex';

import { prepared } from '../../../database/prepared.ts';
import type { LoginRecord } from '../../users/user-queries.ts';
import type { Factor } from '../factor.ts';
import { FACTOR_COLUMNS, type FactorRow, toFactor } from '../factor-queries.ts';
import type { PasskeyRow } from './passkey-macs.ts';
import type { NewCredential } from '../webauthn/verify-registration.ts';

/** A stored passkey with its user. Nothing in it is to be believed before its MAC is checked. */
export interface StoredPasskey extends PasskeyRow {
  readonly signCount: number;
  readonly mac: Uint8Array;
  readonly user: LoginRecord;
}

interface StoredRow {
  id: string;
  user_id: string;
  credential_id: Buffer;
  cose_key: Buffer;
  sign_count: number;
  backup_eligible: boolean;
  mac: Buffer;
  password_hash: string | null;
  roles: string[];
  user_disabled: boolean;
  external_id: string | null;
}

/** The passkey with a credential id, whosever it is. */
export async function findPasskey(db: Knex, credentialId: Uint8Array): Promise<StoredPasskey | null> {
  const { rows } = await prepared<{ rows: StoredRow[] }>(
    db,
    'find-passkey',
    `SELECT f.id, f.user_id, f.credential_id, f.cose_key, f.sign_count::float8 AS sign_count, f.backup_eligible, f.mac,
            u.password_hash, u.roles, u.disabled_at IS NOT NULL AS user_disabled, u.external_id
     FROM factors f JOIN users u ON u.id = f.user_id
     WHERE f.credential_id = ? AND f.kind = 'passkey' AND f.confirmed_at IS NOT NULL`,
    [Buffer.from(credentialId)],
  );
  const [row] = rows;
  if (!row) return null;
  return {
    id: row.id,
    userId: row.user_id,
    credentialId: row.credential_id,
    coseKey: row.cose_key,
    signCount: row.sign_count,
    backupEligible: row.backup_eligible,
    mac: row.mac,
    user: {
      id: row.user_id,
      passwordHash: row.password_hash,
      roles: row.roles,
      disabled: row.user_disabled,
      externalId: row.external_id,
    },
  };
}

/**
 * Records the use of a passkey, in one conditional UPDATE with the rule of the counter: of concurrent answers with one counter
 * one succeeds.
 *
 * @returns false when the passkey was deleted or changed, or its counter grew meanwhile
 */
export async function recordPasskeyUse(
  trx: Knex.Transaction,
  use: {
    readonly id: string;
    readonly mac: Uint8Array;
    readonly signCount: number;
    readonly backedUp: boolean;
  },
): Promise<boolean> {
  const { id, mac, signCount, backedUp } = use;
  const { rowCount } = await prepared<{ rowCount: number }>(
    trx,
    'record-passkey-use',
    `UPDATE factors f SET sign_count = new.sign_count, backed_up = ?, last_used_at = clock_timestamp()
     FROM (SELECT ?::bigint AS sign_count) new
     WHERE f.id = ? AND f.mac = ? AND f.confirmed_at IS NOT NULL
       AND (f.sign_count < new.sign_count OR (f.sign_count = 0 AND new.sign_count = 0))`,
    [backedUp, signCount, id, Buffer.from(mac)],
  );
  return rowCount > 0;
}

/** The credentials of a user, of which an authenticator must make no second one. */
export async function listCredentials(
  db: Knex,
  userId: string,
): Promise<{ readonly id: Uint8Array; readonly transports: readonly string[] }[]> {
  const { rows } = await db.raw<{ rows: { credential_id: Buffer; transports: string[] | null }[] }>(
    `SELECT credential_id, transports FROM factors
     WHERE user_id = ? AND kind = 'passkey' AND confirmed_at IS NOT NULL ORDER BY id`,
    [userId],
  );
  return rows.map(({ credential_id, transports }) => ({ id: credential_id, transports: transports ?? [] }));
}

/**
 * Inserts a confirmed passkey. The caller holds the lock on the user.
 *
 * @returns null when the credential id is registered already
 */
export async function insertPasskey(
  trx: Knex.Transaction,
  passkey: PasskeyRow &
    NewCredential & {
      readonly name: string;
      readonly transports: readonly string[];
      readonly mac: Uint8Array;
    },
): Promise<Factor | null> {
  const { id, userId, name, credentialId, coseKey, signCount, backupEligible, backedUp, transports, mac } =
    passkey;
  const { rows } = await trx.raw<{ rows: FactorRow[] }>(
    `INSERT INTO factors (id, user_id, kind, name, credential_id, cose_key, sign_count, backup_eligible, backed_up, transports,
                          mac, confirmed_at)
     VALUES (:id, :userId, 'passkey', :name, :credentialId, :coseKey, :signCount, :backupEligible, :backedUp, :transports,
             :mac, clock_timestamp())
     ON CONFLICT (credential_id) WHERE credential_id IS NOT NULL DO NOTHING
     RETURNING ${FACTOR_COLUMNS}`,
    {
      ...{ id, userId, name, signCount, backupEligible, backedUp, transports: [...transports] },
      credentialId: Buffer.from(credentialId),
      coseKey: Buffer.from(coseKey),
      mac: Buffer.from(mac),
    },
  );
  return rows[0] ? toFactor(rows[0]) : null;
}
