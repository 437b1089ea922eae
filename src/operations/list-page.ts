import type { PageCursors } from '../domain/page-cursor.ts';
import { Rejected } from '../domain/rejection.ts';

const DEFAULT_SIZE = 50;
const MOST = 1_000;

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
  const size = request.pageSize === 0 ? DEFAULT_SIZE : Math.min(request.pageSize, MOST);
  const afterId = request.pageToken === '' ? null : positionIn(cursors, query, request.pageToken);
  // One more than is asked for tells whether there is another page.
  const rows = await read({ afterId, limit: size + 1 });
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  return {
    rows: shown,
    nextPageToken: last && rows.length > size ? cursors.issue(query, last.id) : '',
  };
}

function positionIn(cursors: PageCursors, query: object, token: string): string {
  const position = cursors.read(query, token);
  if (position !== null) return position;
  const description = 'must be the next_page_token of this list with this filter; begin with an empty one';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'page_token', description }] });
}
