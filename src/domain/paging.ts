import { Rejected } from './rejection.ts';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { bytesOfUuid, uuidOfBytes } from './uuid.ts';

const DEFAULT_SIZE = 50;
const MAX_SIZE = 1_000;

/** Which page a caller asks for: at most 1000 rows, 50 for a size of 0; an empty token is the first page. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface Page<Row> {
  readonly rows: readonly Row[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/**
 * Reads one page by key: the rows after the last one that the caller has, so that rows which come or go meanwhile make
 * none appear twice.
 *
 * @param query what is listed and by which filter, as `PageCursors` binds it
 * @param read gives up to `limit` rows after the one with the id, in the order of the list
 * @throws Rejected `field-invalid` for a token that was not made for this query
 */
export async function listPage<Row extends { readonly id: string }>(
  cursors: PageCursors,
  query: object,
  request: PageRequest,
  read: (page: { afterId: string | null; limit: number }) => Promise<readonly Row[]>,
): Promise<Page<Row>> {
  const size = request.pageSize === 0 ? DEFAULT_SIZE : Math.min(request.pageSize, MAX_SIZE);
  const afterId = request.pageToken === '' ? null : positionIn(cursors, query, request.pageToken);
  // One more than is asked for tells whether there is another page.
  const rows = await read({ afterId, limit: size + 1 });
  const pageRows = rows.slice(0, size);
  const last = pageRows.at(-1);
  return {
    rows: pageRows,
    nextPageToken: last && rows.length > size ? cursors.issue(query, last.id) : '',
  };
}

function positionIn(cursors: PageCursors, query: object, token: string): string {
  const position = cursors.read(query, token);
  if (position !== null) return position;
  const description =
    'must be a next_page_token of the same list with the same filter; leave it empty for the first page';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'page_token', description }] });
}

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
