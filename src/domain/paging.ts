import { Rejected } from './rejection.ts';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { bytesOfUuid, uuidOfBytes } from './uuid.ts';

const DEFAULT_SIZE = 50;
const MAX_SIZE = 1_000;

/** The requested page. At most 1000 rows; a size of 0 means 50. An empty token means the first page. */
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
 * Reads one page by keyset: the rows after the last one of the previous page, so that rows inserted or deleted meanwhile
 * cause no duplicates.
 *
 * @param query the list and its filter, to which `PageCursors` binds the token
 * @param read returns up to `limit` rows after the row with the id, in the order of the list
 * @throws Rejected `field-invalid` for a token that was not made for this query
 */
export async function listPage<Row extends { readonly id: string }>(
  cursors: PageCursors,
  query: object,
  request: PageRequest,
  read: (page: { afterId: string | null; limit: number }) => Promise<readonly Row[]>,
): Promise<Page<Row>> {
  const size = request.pageSize === 0 ? DEFAULT_SIZE : Math.min(request.pageSize, MAX_SIZE);
  const afterId = request.pageToken === '' ? null : readPosition(cursors, query, request.pageToken);
  // One extra row shows whether there is another page.
  const rows = await read({ afterId, limit: size + 1 });
  const pageRows = rows.slice(0, size);
  const last = pageRows.at(-1);
  return {
    rows: pageRows,
    nextPageToken: last && rows.length > size ? cursors.issue(query, last.id) : '',
  };
}

function readPosition(cursors: PageCursors, query: object, token: string): string {
  const position = cursors.read(query, token);
  if (position !== null) return position;
  const description =
    'must be a next_page_token of the same list with the same filter; leave it empty for the first page';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'page_token', description }] });
}

const POSITION_BYTES = 16;
/** 128 bits of HMAC-SHA256, too many to guess. */
const MAC_BYTES = 16;
/** 32 bytes as canonical base64url. */
const PATTERN = /^[\w-]{42}[AEIMQUYcgkosw048]$/;

/**
 * Issues and reads page tokens: the id of a page's last row, and a MAC over the id and the query. A caller can neither
 * forge a token nor use it for another list or filter, where it would skip rows (A08).
 */
export class PageCursors {
  readonly #key: () => Uint8Array;

  /** @param key returns a 32-byte key that all instances share and that has no other use */
  constructor(key: () => Uint8Array) {
    this.#key = key;
  }

  /**
   * @param query the list and its filter; equal for all pages of one list
   * @param lastId the UUID of the last row of the page
   */
  issue(query: object, lastId: string): string {
    const position = bytesOfUuid(lastId);
    return Buffer.concat([position, this.#mac(query, position)]).toString('base64url');
  }

  /** @returns the UUID of the row to continue after, or null unless the token was issued for this query */
  read(query: object, token: string): string | null {
    if (!PATTERN.test(token)) return null;
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
