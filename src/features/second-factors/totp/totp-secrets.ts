import { randomBytes } from 'node:crypto';

import { EnvelopeError, type MasterKey, masterKeyOf, seal, unseal } from '../../../crypto/sealed-envelope.ts';

/** The row of a TOTP factor for which a secret is sealed. */
interface TotpRow {
  readonly id: string;
  readonly userId: string;
}

/**
 * Seals the secrets of TOTP factors for their rows, with a key that is not in the database. Without it, an attacker who can
 * write to the database could give a user a factor with a secret of his own.
 */
export class TotpSecrets {
  readonly #deriveKey: () => Uint8Array;
  #key: MasterKey | null = null;

  /** @param deriveKey returns 32 bytes, always the same; its errors propagate to the caller */
  constructor(deriveKey: () => Uint8Array) {
    this.#deriveKey = deriveKey;
  }

  seal(row: TotpRow, secret: Uint8Array): Buffer {
    return seal(secret, identityOf(row), this.#sealingKey(), randomBytes(12));
  }

  /** @returns why the secret did not open, in one line, when it was sealed for another row or by another root key, or was altered */
  open(row: TotpRow, sealed: Uint8Array): Buffer | { readonly fault: string } {
    try {
      return unseal(sealed, identityOf(row), [this.#sealingKey()]);
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      return { fault: error.message };
    }
  }

  #sealingKey(): MasterKey {
    this.#key ??= masterKeyOf(this.#deriveKey());
    return this.#key;
  }
}

/** With the kind of the factor, so that nothing else that is sealed could be opened as one. */
function identityOf({ id, userId }: TotpRow): string {
  return `totp factor ${id} ${userId}`;
}
