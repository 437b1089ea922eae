import type { Knex } from 'knex';

import type { KeyStage, SigningKeyState } from './key-lifecycle.ts';
import type { SigningAlgorithm } from '../../tokens/signing-algorithm.ts';

/** A signing key as stored. Its private half is sealed with the master key. */
export interface StoredSigningKey extends KeyStage {
  readonly algorithm: SigningAlgorithm;
  /** The public JWK; unchecked. */
  readonly publicJwk: unknown;
  /** Null for a revoked key. */
  readonly sealedPrivateKey: Uint8Array | null;
  readonly createdAtMs: number;
}

export interface NewSigningKey {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly publicJwk: object;
  readonly sealedPrivateKey: Uint8Array;
}

/** The advisory lock that serializes changes of the signing keys over all processes. */
const SIGNING_KEY_LOCK = 0x706f7375;

interface SigningKeyRow {
  kid: string;
  algorithm: SigningAlgorithm;
  state: SigningKeyState;
  public_jwk: unknown;
  sealed_private_key: Buffer | null;
  created_at: Date;
  activate_at: Date;
  activated_at: Date | null;
  retired_at: Date | null;
  remove_at: Date | null;
}

/** Waits for, then blocks, all other changes of the signing keys until the transaction ends. */
export async function lockSigningKeys(trx: Knex.Transaction): Promise<void> {
  await trx.raw('SET LOCAL lock_timeout = 0');
  await trx.raw('SELECT pg_advisory_xact_lock(?)', [SIGNING_KEY_LOCK]);
}

/** Reads every key that is not revoked, ordered by kid. */
export async function listVerifyingKeys(db: Knex): Promise<StoredSigningKey[]> {
  const rows = await db<SigningKeyRow>('signing_keys')
    .whereNot('state', 'revoked')
    .orderBy('kid')
    .select('*');
  return rows.map(toKey);
}

/** Reads every key, newest first. */
export async function listAllKeys(db: Knex): Promise<StoredSigningKey[]> {
  const rows = await db<SigningKeyRow>('signing_keys').orderBy('created_at', 'desc').select('*');
  return rows.map(toKey);
}

/** Reads the database's clock, by which all instances decide. Unix time, ms. */
export async function readClock(db: Knex): Promise<number> {
  const { rows } = await db.raw<{ rows: { now: Date }[] }>('SELECT clock_timestamp() AS now');
  return rows[0]?.now.getTime() ?? Number.NaN;
}

/** Stores a key that signs from now on. A unique index allows one active key only. */
export async function insertActiveKey(db: Knex, key: NewSigningKey): Promise<void> {
  const now = db.fn.now() as never;
  await db<SigningKeyRow>('signing_keys').insert({
    ...columnsOf(key),
    state: 'active',
    activate_at: now,
    activated_at: now,
  });
}

/** Stores a key that is published now and signs from `activateAtMs` (Unix time, ms). */
export async function insertPendingKey(db: Knex, key: NewSigningKey, activateAtMs: number): Promise<void> {
  await db<SigningKeyRow>('signing_keys').insert({
    ...columnsOf(key),
    state: 'pending',
    activate_at: new Date(activateAtMs),
  });
}

export async function activateKey(db: Knex, kid: string): Promise<void> {
  await db<SigningKeyRow>('signing_keys')
    .where({ kid })
    .update({ state: 'active', activated_at: db.fn.now() as never });
}

/** Makes a key verify only. @param removeAtMs Unix time, ms */
export async function retireKey(db: Knex, kid: string, removeAtMs: number): Promise<void> {
  await db<SigningKeyRow>('signing_keys')
    .where({ kid })
    .update({ state: 'retired', retired_at: db.fn.now() as never, remove_at: new Date(removeAtMs) });
}

/** Revokes a key for good. Its private half is deleted, its row is kept as a record. */
export async function revokeKey(db: Knex, kid: string): Promise<void> {
  await db<SigningKeyRow>('signing_keys')
    .where({ kid })
    .update({ state: 'revoked', sealed_private_key: null });
}

export async function removeKey(db: Knex, kid: string): Promise<void> {
  await db<SigningKeyRow>('signing_keys').where({ kid }).delete();
}

export async function replaceSealedKey(db: Knex, kid: string, sealedPrivateKey: Uint8Array): Promise<void> {
  await db<SigningKeyRow>('signing_keys')
    .where({ kid })
    .update({ sealed_private_key: Buffer.from(sealedPrivateKey) });
}

function columnsOf(key: NewSigningKey) {
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    public_jwk: JSON.stringify(key.publicJwk),
    sealed_private_key: Buffer.from(key.sealedPrivateKey),
  };
}

function toKey(row: SigningKeyRow): StoredSigningKey {
  return {
    kid: row.kid,
    algorithm: row.algorithm,
    state: row.state,
    publicJwk: row.public_jwk,
    sealedPrivateKey: row.sealed_private_key,
    createdAtMs: row.created_at.getTime(),
    activateAtMs: row.activate_at.getTime(),
    activatedAtMs: row.activated_at?.getTime() ?? null,
    removeAtMs: row.remove_at?.getTime() ?? null,
  };
}
