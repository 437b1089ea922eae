import { status } from '@grpc/grpc-js';

import { PosternError } from './postern-error.ts';

/** RFC 6750 section 2.1: the scheme in any case, one space, one token68. */
const BEARER = /^bearer ([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * The token of an `authorization: Bearer` header; null when there is none, or one of another scheme.
 *
 * @param values one entry for each time the header was sent
 * @throws PosternError TOKEN_MALFORMED for several headers or a value that is not one token
 */
export function bearerTokenOf(values: readonly string[]): string | null {
  const [value, ...others] = values;
  if (value === undefined || value.trim() === '') return null;
  if (others.length > 0) throw malformed('the call has more than one authorization header; send one');
  const token = BEARER.exec(value)?.[1];
  if (token !== undefined) return token;
  if (!/^bearer\s+\S/i.test(value)) return null;
  throw malformed("the authorization header must be 'Bearer', one space and one token");
}

function malformed(message: string): PosternError {
  return new PosternError(message, { code: status.UNAUTHENTICATED, reason: 'TOKEN_MALFORMED' });
}
