import { Rejected } from '../domain/rejection.ts';
import { readBearerToken } from '../tokens/bearer-token.ts';

/**
 * The token of an `authorization: Bearer ...` header.
 *
 * @param values one entry for each time the header was sent
 * @throws Rejected `credentials-missing` when there is none or another scheme, `token-refused` (TOKEN_MALFORMED) when
 *   there are several or the value is not one token
 */
export function bearerToken(values: readonly string[]): string {
  const read = readBearerToken(values);
  if (read.kind === 'token') return read.token;
  if (read.kind === 'missing') throw new Rejected({ kind: 'credentials-missing' });
  const { detail } = read;
  throw new Rejected({ kind: 'token-refused', refusal: { reason: 'TOKEN_MALFORMED', detail } });
}
