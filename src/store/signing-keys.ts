import type { Knex } from 'knex';

import type { SigningAlgorithm } from '../tokens/signing-algorithm.ts';

export type SigningKeyState = 'pending' | 'active' | 'retired' | 'revoked';

/** A signing key as the database holds it; the private half is sealed by the master key. */
export interface StoredSigningKey {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly state: SigningKeyState;
  /** The public JWK, to be checked when it is imported. */
  readonly publicJwk: unknown;
  readonly sealedPrivateKey: Uint8Array | null;
}

/** Any two processes that change signing keys take turns by this lock. */
const SIGNING_KEY_LOCK = 0x706f7375;

interface SigningKeyRow {
  kid: string;
  algorithm: SigningAlgorithm;
  state: SigningKeyState;
  public_jwk: unknown;
  sealed_private_key: Buffer | null;
  activate_at: Date;
  activated_at: Date;
}

/** Holds all other changes of signing keys back until the transaction ends. */
export async function lockSigningKeys(trx: Knex.Transaction): Promise<void> {
  await trx.raw('SELECT pg_advisory_xact_lock(?)', [SIGNING_KEY_LOCK]);
}

/** Every key that verifies or will: pending, active and retired ones, ordered by kid. */
export async function listVerifyingKeys(db: Knex): Promise<StoredSigningKey[]> {
  const rows = await db<SigningKeyRow>('signing_keys')
    .whereIn('state', ['pending', 'active', 'retired'])
    .orderBy('kid')
    .select('kid', 'algorithm', 'state', 'public_jwk', 'sealed_private_key');
  return rows.map((row) => ({
    kid: row.kid,
    algorithm: row.algorithm,
    state: row.state,
    publicJwk: row.public_jwk,
    sealedPrivateKey: row.sealed_private_key,
  }));
}

/** Stores a key that signs from now on. The one-active index refuses a second one. */
export async function insertActiveKey(
  db: Knex,
  key: { kid: string; algorithm: SigningAlgorithm; publicJwk: object; sealedPrivateKey: Uint8Array },
): Promise<void> {
  await db<SigningKeyRow>('signing_keys').insert({
    kid: key.kid,
    algorithm: key.algorithm,
    state: 'active',
    public_jwk: JSON.stringify(key.publicJwk),
    sealed_private_key: Buffer.from(key.sealedPrivateKey),
    activate_at: db.fn.now() as never,
    activated_at: db.fn.now() as never,
  });
}
