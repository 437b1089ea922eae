import type { Knex } from 'knex';

import type { ServiceRef } from '../service-account-queries.ts';
import type { StoredServiceKey } from './service-key.ts';

interface ServiceKeyRow {
  account_id: string;
  kid: string;
  public_jwk: unknown;
  mac: Buffer;
  created_at: Date;
}

/** Inserts a key. @returns when it was added */
export async function insertServiceKey(
  db: Knex,
  { accountId, kid, publicJwk, mac }: Omit<StoredServiceKey, 'createdAt'>,
): Promise<Date> {
  const { rows } = await db.raw<{ rows: [{ created_at: Date }] }>(
    'INSERT INTO service_keys (account_id, kid, public_jwk, mac) VALUES (?, ?, ?, ?) RETURNING created_at',
    [accountId, kid, JSON.stringify(publicJwk), Buffer.from(mac)],
  );
  return rows[0].created_at;
}

/** Reads the keys of an account, oldest first; null when the account does not exist. */
export async function findServiceKeys(db: Knex, ref: ServiceRef): Promise<StoredServiceKey[] | null> {
  const [column, value] = 'id' in ref ? ['id', ref.id] : ['name', ref.name];
  const { rows } = await db.raw<{ rows: (ServiceKeyRow | { kid: null })[] }>(
    `SELECT k.account_id, k.kid, k.public_jwk, k.mac, k.created_at
     FROM service_accounts a LEFT JOIN service_keys k ON k.account_id = a.id WHERE a.${column} = ? ORDER BY k.created_at, k.kid`,
    [value],
  );
  if (rows.length === 0) return null;
  return rows.flatMap((row) => (row.kid === null ? [] : [toServiceKey(row)]));
}

/** @returns whether the account had the key */
export async function deleteServiceKeyRow(db: Knex, accountId: string, kid: string): Promise<boolean> {
  return (await db('service_keys').where({ account_id: accountId, kid }).delete()) > 0;
}

/** Reads the keys of all accounts, for a check of the whole table. */
export async function listServiceKeyRows(db: Knex): Promise<StoredServiceKey[]> {
  const rows = await db<ServiceKeyRow>('service_keys').select(
    'account_id',
    'kid',
    'public_jwk',
    'mac',
    'created_at',
  );
  return rows.map(toServiceKey);
}

function toServiceKey(row: ServiceKeyRow): StoredServiceKey {
  return {
    accountId: row.account_id,
    kid: row.kid,
    publicJwk: row.public_jwk,
    mac: row.mac,
    createdAt: row.created_at,
  };
}
