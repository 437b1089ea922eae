import { createHmac, hkdfSync } from 'node:crypto';

import { sameDigest } from '../../crypto/keyed-digests.ts';
import { type Authentication, UNKNOWN_AUTHENTICATION } from '../../domain/claims/authentication.ts';

const MAC_BYTES = 16;

/** The authentication of a session as its row has it. */
export interface StoredAuthentication extends Authentication {
  readonly mac: Uint8Array;
}

/**
 * Binds the authentication of a session to the session and its user by a MAC, so that a database writer cannot raise the
 * level of a session or make its proof look fresh (M25).
 */
export class SessionAuthentications {
  readonly #key: Buffer;

  /** @param rootKey 32 bytes */
  constructor(rootKey: Uint8Array) {
    this.#key = Buffer.from(hkdfSync('sha256', rootKey, '', 'postern session authentication', 32));
  }

  /** What to store for a session. */
  toStored(sessionId: string, userId: string, authentication: Authentication): StoredAuthentication {
    return { ...authentication, mac: this.#mac(sessionId, userId, authentication) };
  }

  /**
   * Reads what is stored for a session. Without a valid MAC nothing is known: a session of a release before second factors, or
   * a row that somebody else has changed.
   */
  fromStored(sessionId: string, userId: string, stored: StoredAuthentication | null): Authentication {
    if (stored === null) return UNKNOWN_AUTHENTICATION;
    const { mac, ...authentication } = stored;
    const isRight = sameDigest(mac, this.#mac(sessionId, userId, authentication));
    return isRight ? authentication : UNKNOWN_AUTHENTICATION;
  }

  #mac(sessionId: string, userId: string, authentication: Authentication): Buffer {
    const { acr, amr, authenticatedAtSeconds } = authentication;
    const text = JSON.stringify([sessionId, userId, acr, amr, authenticatedAtSeconds]);
    return createHmac('sha256', this.#key).update(text).digest().subarray(0, MAC_BYTES);
  }
}
