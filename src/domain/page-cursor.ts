import { createHmac, timingSafeEqual } from 'node:crypto';

import { bytesOfUuid, uuidOfBytes } from './uuid-bytes.ts';

const POSITION_BYTES = 16;
/** 128 bits of HMAC-SHA256: nobody finds one by trying. */
const MAC_BYTES = 16;
/** Base64url of 32 bytes, in its one canonical form. */
const FORM = /^[\w-]{42}[AEIMQUYcgkosw048]$/;

/**
 * Makes and reads the tokens by which a list goes on after a row: the row's id and a MAC over it and over the query. A
 * caller so cannot make one up, nor carry one over to another list or filter, where it would skip rows (A08).
 */
export class PageCursors {
  readonly #key: () => Uint8Array;

  /** @param key gives 32 bytes that all instances have and that serve nothing else */
  constructor(key: () => Uint8Array) {
    this.#key = key;
  }

  /**
   * @param query what is listed and by which filter; equal for all pages of one list
   * @param lastId the UUID of the last row of the page before
   */
  issue(query: object, lastId: string): string {
    const position = bytesOfUuid(lastId);
    return Buffer.concat([position, this.#mac(query, position)]).toString('base64url');
  }

  /** @returns the UUID to go on after, or null for anything but a token that was issued for this very query */
  read(query: object, token: string): string | null {
    if (!FORM.test(token)) return null;
    const bytes = Buffer.from(token, 'base64url');
    const position = bytes.subarray(0, POSITION_BYTES);
    const mac = bytes.subarray(POSITION_BYTES);
    return timingSafeEqual(mac, this.#mac(query, position)) ? uuidOfBytes(position) : null;
  }

  #mac(query: object, position: Uint8Array): Buffer {
    const hmac = createHmac('sha256', this.#key()).update(position).update(JSON.stringify(query));
    return hmac.digest().subarray(0, MAC_BYTES);
  }
}
