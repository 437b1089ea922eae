/** Result of reading an `authorization: Bearer` header. */
export type BearerToken =
  | { readonly kind: 'token'; readonly token: string }
  /** No authorization header, or one of another scheme. */
  | { readonly kind: 'missing' }
  /** `detail` is a fixed text that says what is wrong. It never quotes the header. */
  | { readonly kind: 'malformed'; readonly detail: string };

/** RFC 6750 section 2.1: the scheme in any case, one space and one token68. */
const BEARER = /^bearer ([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * Reads the token from an `authorization: Bearer` header (RFC 6750 section 2.1).
 *
 * @param values one entry per authorization header of the call
 */
export function readBearerToken(values: readonly string[]): BearerToken {
  const [value = '', ...others] = values;
  // Even beside an empty one: another program could read the other.
  if (others.length > 0) return malformed('the call has more than one authorization header; send one');
  if (value.trim() === '') return { kind: 'missing' };
  const token = BEARER.exec(value)?.[1];
  if (token !== undefined) return { kind: 'token', token };
  if (!/^bearer\s+\S/i.test(value)) return { kind: 'missing' };
  return malformed("the authorization header must be 'Bearer', one space and one token");
}

function malformed(detail: string): BearerToken {
  return { kind: 'malformed', detail };
}
