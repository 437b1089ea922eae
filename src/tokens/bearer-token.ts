/** What an `authorization: Bearer` header holds. */
export type BearerToken =
  | { readonly kind: 'token'; readonly token: string }
  /** There is none, or one of another scheme. */
  | { readonly kind: 'missing' }
  /** `detail` says in fixed words what is wrong, never with text of the header. */
  | { readonly kind: 'malformed'; readonly detail: string };

/** RFC 6750 section 2.1: the scheme in any case, one space, one token68. */
const BEARER = /^bearer ([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * The token of an `authorization: Bearer` header.
 *
 * @param values one entry for each time the header was sent
 */
export function readBearerToken(values: readonly string[]): BearerToken {
  const [value, ...others] = values;
  if (value === undefined || value.trim() === '') return { kind: 'missing' };
  if (others.length > 0) return malformed('the authorization header came more than once; send it once');
  const token = BEARER.exec(value)?.[1];
  if (token !== undefined) return { kind: 'token', token };
  if (!/^bearer\s+\S/i.test(value)) return { kind: 'missing' };
  return malformed("the authorization header is not 'Bearer', one space and one token");
}

function malformed(detail: string): BearerToken {
  return { kind: 'malformed', detail };
}
