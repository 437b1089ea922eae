import { createHmac } from 'node:crypto';

import { sameDigest } from '../../../crypto/keyed-digests.ts';

/** What the MAC of a passkey covers: everything that decides whose passkey it is and what it accepts. */
export interface PasskeyRow {
  readonly id: string;
  readonly userId: string;
  readonly credentialId: Uint8Array;
  /** The public key, CBOR. */
  readonly coseKey: Uint8Array;
  readonly backupEligible: boolean;
}

/**
 * Makes and checks the MACs of stored passkeys. Without them, an attacker who can write to the database could give a user a
 * passkey of his own, or move his passkey to another user (M20).
 */
export class PasskeyMacs {
  readonly #deriveKey: () => Uint8Array;
  #key: Uint8Array | null = null;

  /** @param deriveKey returns 32 bytes, always the same; its errors propagate to the caller */
  constructor(deriveKey: () => Uint8Array) {
    this.#deriveKey = deriveKey;
  }

  of({ id, userId, credentialId, coseKey, backupEligible }: PasskeyRow): Buffer {
    const text = JSON.stringify(['passkey', id, userId, hex(credentialId), hex(coseKey), backupEligible]);
    this.#key ??= this.#deriveKey();
    return createHmac('sha256', this.#key).update(text).digest();
  }

  isRight(row: PasskeyRow & { readonly mac: Uint8Array }): boolean {
    return sameDigest(row.mac, this.of(row));
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
