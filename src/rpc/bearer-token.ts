import { type AcceptedCredential, Rejected } from '../domain/rejection.ts';
import { readBearerToken } from '../tokens/bearer-token.ts';

/**
 * The token of an `authorization: Bearer ...` header.
 *
 * @param values one entry for each occurrence of the header
 * @param accepts what the method takes, for the message of the refusal
 * @throws Rejected `credentials-missing` without a header or with another scheme, `token-refused` (TOKEN_MALFORMED) with
 *   several headers or a value that is not a single token
 */
export function bearerToken(values: readonly string[], accepts: AcceptedCredential = 'token'): string {
  const read = readBearerToken(values);
  if (read.kind === 'token') return read.token;
  if (read.kind === 'missing') throw new Rejected({ kind: 'credentials-missing', accepts });
  const { detail } = read;
  throw new Rejected({ kind: 'token-refused', refusal: { reason: 'TOKEN_MALFORMED', detail } });
}
