import { hkdfSync, randomBytes } from 'node:crypto';

import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { type MasterKey, namedMasterKey, seal, sealedBy, unseal } from '../../crypto/sealed-envelope.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { findRootKey, insertRootKey, replaceRootKey } from './root-key-queries.ts';
import { listVerifyingKeys, lockSigningKeys } from '../signing-keys/signing-key-queries.ts';
import { type RefreshTokenForm, RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import { SessionAuthentications } from '../../tokens/issue/session-authentications.ts';
import { openSigningKey } from '../signing-keys/seal-signing-key.ts';

/** The identity that the root key's envelope is authenticated with. Stored envelopes do not open with another one. */
const IDENTITY = 'refresh root';

/**
 * The root key, from which the keys of refresh tokens and of other purposes are derived. It is stored sealed in the
 * database and opened once per process.
 */
export class RootKey {
  readonly #refreshTokenForm: RefreshTokenForm;
  #root: Buffer | null = null;
  #tokens: RefreshTokens | null = null;
  #authentications: SessionAuthentications | null = null;

  /** @param refreshTokenForm the form of the refresh tokens to make */
  constructor(refreshTokenForm: RefreshTokenForm = '2') {
    this.#refreshTokenForm = refreshTokenForm;
  }

  /**
   * Opens the root key. At the very first start it creates the key.
   *
   * @throws EnvelopeError when none of the master keys sealed it, or the row was altered (K06, K07)
   */
  async prepare(database: Database, masterKeys: readonly [MasterKey, ...MasterKey[]]): Promise<void> {
    this.#root ??= await database.unlimited(async (trx) => {
      if (!(await findRootKey(trx))) await lockSigningKeys(trx);
      return unseal(await findOrCreateRootKey(trx, masterKeys), IDENTITY, masterKeys);
    });
    this.#tokens ??= new RefreshTokens(this.#root, this.#refreshTokenForm);
    this.#authentications ??= new SessionAuthentications(this.#root);
  }

  /** @throws Rejected `store-unavailable` until `prepare` has succeeded */
  tokens(): RefreshTokens {
    return this.#tokens ?? throwNotLoaded();
  }

  /** @throws Rejected `store-unavailable` until `prepare` has succeeded */
  authentications(): SessionAuthentications {
    return this.#authentications ?? throwNotLoaded();
  }

  /**
   * Derives a key of 32 bytes for a purpose (HKDF-SHA256, RFC 5869). Every instance derives the same key.
   *
   * @throws Rejected `store-unavailable` until `prepare` has succeeded
   */
  derive(purpose: string): Uint8Array {
    const root = this.#root ?? throwNotLoaded();
    return new Uint8Array(hkdfSync('sha256', root, '', `postern ${purpose}`, 32));
  }
}

/**
 * Returns the master key to seal new keys with: the one that seals the root key, which every instance opens when it
 * starts. An instance that missed a change of the master key would otherwise seal a key that the other instances cannot
 * open. The caller must hold the lock on the signing keys, so that the root key is not resealed meanwhile. Creates the
 * root key when there is none.
 *
 * @throws EnvelopeError when none of the master keys sealed the root key, or its row was altered
 */
export async function sealingKey(trx: Transaction, masterKeys: readonly MasterKey[]): Promise<MasterKey> {
  const sealed = await findOrCreateRootKey(trx, masterKeys);
  return sealingKeyOfRoot(sealed, masterKeys);
}

/**
 * Returns the master key that sealed the root key.
 *
 * @throws EnvelopeError when none of the master keys sealed it, or the row was altered
 */
export function sealingKeyOfRoot(sealed: Uint8Array, masterKeys: readonly MasterKey[]): MasterKey {
  unseal(sealed, IDENTITY, masterKeys).fill(0);
  return namedMasterKey(sealed, IDENTITY, masterKeys);
}

/**
 * Checks that the master keys open the stored root key, if there is one. Commands call it before they seal a key: a key
 * sealed with another master key would keep every instance from starting (K07).
 *
 * @throws EnvelopeError when none of the master keys sealed the root key, or its row was altered
 */
export async function requireMasterKey({
  database,
  masterKeys,
}: {
  readonly database: Database;
  readonly masterKeys: readonly MasterKey[];
}): Promise<void> {
  await database.unlimited(async (trx) => {
    const sealed = await findRootKey(trx);
    if (sealed) unseal(sealed, IDENTITY, masterKeys);
  });
}

/**
 * Reseals the root key with the current master key.
 *
 * @returns `already` when the current master key sealed it before, `absent` when the service has never been started
 * @throws EnvelopeError when none of the master keys opens it; nothing is changed then
 */
export async function rewrapRootKey(
  trx: Transaction,
  masterKeys: readonly [MasterKey, ...MasterKey[]],
): Promise<'rewrapped' | 'already' | 'absent'> {
  const sealed = await findRootKey(trx);
  if (!sealed) return 'absent';
  const root = unseal(sealed, IDENTITY, masterKeys);
  if (sealedBy(sealed) === masterKeys[0].id) return 'already';
  await replaceRootKey(trx, seal(root, IDENTITY, masterKeys[0], randomBytes(12)));
  return 'rewrapped';
}

function throwNotLoaded(): never {
  throw new Rejected({
    kind: 'store-unavailable',
    cause: 'the root key has not been read from the database yet',
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** Where signing keys are stored already, the root key is sealed only with a master key that opens them. */
async function findOrCreateRootKey(trx: Transaction, masterKeys: readonly MasterKey[]): Promise<Uint8Array> {
  const found = await findRootKey(trx);
  if (found) return found;
  for (const key of await listVerifyingKeys(trx)) openSigningKey(key, masterKeys).fill(0);
  const [masterKey] = masterKeys;
  if (!masterKey) throw new Error('there is no master key');
  await insertRootKey(trx, seal(randomBytes(32), IDENTITY, masterKey, randomBytes(12)));
  return (await findRootKey(trx)) ?? new Uint8Array();
}
