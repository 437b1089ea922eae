import { Rejected } from '../domain/rejection.ts';

/** RFC 6750 section 2.1: the scheme in any case, one space, one token68. */
const BEARER = /^bearer ([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * The token of an `authorization: Bearer ...` header.
 *
 * @param values one entry for each time the header was sent
 * @throws Rejected `credentials-missing` when there is none or another scheme, `token-refused` (TOKEN_MALFORMED) when
 *   there are several or the value is not one token
 */
export function bearerToken(values: readonly string[]): string {
  const [value, ...others] = values;
  if (value === undefined || value.trim() === '') throw new Rejected({ kind: 'credentials-missing' });
  if (others.length > 0) throw malformed('the call has more than one authorization header; send one');
  const token = BEARER.exec(value)?.[1];
  if (token !== undefined) return token;
  if (!/^bearer(\s|$)/i.test(value)) throw new Rejected({ kind: 'credentials-missing' });
  if (/^bearer\s*$/i.test(value)) throw new Rejected({ kind: 'credentials-missing' });
  throw malformed("the authorization header must be 'Bearer', one space and one token");
}

function malformed(detail: string): Rejected {
  return new Rejected({ kind: 'token-refused', refusal: { reason: 'TOKEN_MALFORMED', detail } });
}
