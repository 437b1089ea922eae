import { hkdfSync, randomBytes } from 'node:crypto';

import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { type MasterKey, namedMasterKey, seal, sealedBy, unseal } from '../../crypto/sealed-envelope.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { findRootKey, insertRootKey, replaceRootKey } from './root-key-queries.ts';
import { listVerifyingKeys, lockSigningKeys } from '../signing-keys/signing-key-queries.ts';
import { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import { openSigningKey } from '../signing-keys/seal-signing-key.ts';

const IDENTITY = 'refresh root';

/** The root key of refresh tokens: sealed in the database, opened once for each process. */
export class RootKey {
  #root: Buffer | null = null;
  #tokens: RefreshTokens | null = null;

  /**
   * Makes the root key at the first start of all, and opens it.
   *
   * @throws EnvelopeError when no given master key sealed it, or the row was altered (K06, K07)
   */
  async prepare(database: Database, masterKeys: readonly [MasterKey, ...MasterKey[]]): Promise<void> {
    this.#root ??= await database.unlimited(async (trx) => {
      if (!(await findRootKey(trx))) await lockSigningKeys(trx);
      return unseal(await findOrCreateRootKey(trx, masterKeys), IDENTITY, masterKeys);
    });
    this.#tokens ??= new RefreshTokens(this.#root);
  }

  /** @throws Rejected `store-unavailable` before the first contact with the database */
  tokens(): RefreshTokens {
    return this.#tokens ?? throwNotLoaded();
  }

  /**
   * A key of 32 bytes for another purpose, the same in every instance (HKDF, RFC 5869).
   *
   * @throws Rejected `store-unavailable` before the first contact with the database
   */
  derive(purpose: string): Uint8Array {
    const root = this.#root ?? throwNotLoaded();
    return new Uint8Array(hkdfSync('sha256', root, '', `postern ${purpose}`, 32));
  }
}

/**
 * The master key to seal with: the one that seals the root key, which every instance opens when it starts. Sealed with any
 * other, as by an instance that was forgotten when the keys were sealed anew, a key would be one that the others cannot
 * open. Hold the lock on the signing keys, lest that change meanwhile. Makes the root key if nothing was ever sealed.
 *
 * @throws EnvelopeError when it is none of the given ones
 */
export async function sealingKey(trx: Transaction, masterKeys: readonly MasterKey[]): Promise<MasterKey> {
  const sealed = await findOrCreateRootKey(trx, masterKeys);
  return sealingKeyOfRoot(sealed, masterKeys);
}

/** @throws EnvelopeError when it is none of the given ones, or the row was altered */
export function sealingKeyOfRoot(sealed: Uint8Array, masterKeys: readonly MasterKey[]): MasterKey {
  unseal(sealed, IDENTITY, masterKeys).fill(0);
  return namedMasterKey(sealed, IDENTITY, masterKeys);
}

/**
 * Stands before whatever seals a key beside those of a running service: sealed with another master key it would keep
 * every instance from starting (K07).
 *
 * @throws EnvelopeError when no given master key sealed what is there
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
 * Seals the root key with the current master key.
 *
 * @returns what there was to do; `absent` before the service has first started
 * @throws EnvelopeError when it opens with none of the master keys; nothing is changed then
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

/** Where keys are stored already, only a master key that opens them seals the root key, too. */
async function findOrCreateRootKey(trx: Transaction, masterKeys: readonly MasterKey[]): Promise<Uint8Array> {
  const found = await findRootKey(trx);
  if (found) return found;
  for (const key of await listVerifyingKeys(trx)) openSigningKey(key, masterKeys).fill(0);
  const [masterKey] = masterKeys;
  if (!masterKey) throw new Error('there is no master key');
  await insertRootKey(trx, seal(randomBytes(32), IDENTITY, masterKey, randomBytes(12)));
  return (await findRootKey(trx)) ?? new Uint8Array();
}
