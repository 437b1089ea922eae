import { createHash, createHmac } from 'node:crypto';

import { makeScannableSecret } from './api-secret.ts';

/** What the MAC of an API key covers. A database writer who changes any of it makes the key invalid. */
export interface ApiKeyRights {
  readonly id: string;
  readonly ownerType: 'user' | 'service';
  readonly ownerId: string;
  /** As stored. */
  readonly digest: Uint8Array;
  readonly roles: readonly string[];
  readonly audience: string;
  /** In the form of `canonicalNetwork`. */
  readonly networks: readonly string[];
  readonly createdAt: Date;
  /** Null for a key that does not expire. */
  readonly expiresAt: Date | null;
}

/**
 * Makes API keys and computes what the database stores of them: HMAC-SHA256 under keys that are not in the database, so
 * that an attacker with only the database can neither use a row nor check a leaked key against it. A slow hash would add
 * nothing: 256 bits cannot be guessed.
 */
export class ApiKeyDigests {
  readonly #deriveKey: (purpose: string) => Uint8Array;
  readonly #keys = new Map<string, Uint8Array>();

  /** @param deriveKey returns the 32-byte key of a purpose, always the same one; its errors propagate to the caller */
  constructor(deriveKey: (purpose: string) => Uint8Array) {
    this.#deriveKey = deriveKey;
  }

  /** @param random 32 random bytes */
  make(random: Uint8Array): string {
    return makeScannableSecret('pak_', random);
  }

  /** The stored digest of a key, 32 bytes. @param sha256 the SHA-256 digest of the key, by which verifiers ask for it */
  ofHash(sha256: Uint8Array): Buffer {
    return this.#hmac('api key', sha256);
  }

  /** The stored digest of a key, 32 bytes. */
  of(key: string): Buffer {
    return this.ofHash(createHash('sha256').update(key).digest());
  }

  /** The MAC of a row, 32 bytes. */
  macOf(rights: ApiKeyRights): Buffer {
    const { id, ownerType, ownerId, digest, roles, audience, networks, createdAt, expiresAt } = rights;
    const times = [createdAt.getTime(), expiresAt?.getTime() ?? null];
    const covered = [id, ownerType, ownerId, Buffer.from(digest).toString('hex'), roles, audience, networks];
    return this.#hmac('api key row', JSON.stringify([...covered, ...times]));
  }

  #hmac(purpose: string, content: string | Uint8Array): Buffer {
    let key = this.#keys.get(purpose);
    if (key === undefined) {
      key = this.#deriveKey(purpose);
      this.#keys.set(purpose, key);
    }
    return createHmac('sha256', key).update(content).digest();
  }
}
