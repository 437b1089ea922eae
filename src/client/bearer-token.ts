import { status } from '@grpc/grpc-js';

import { readBearerToken } from '../tokens/bearer-token.ts';
import { PosternError } from './postern-error.ts';

/**
 * The token of an `authorization: Bearer` header; null without the header, or with another scheme.
 *
 * @param values one entry for each time the header was sent
 * @throws PosternError TOKEN_MALFORMED for several headers, or a value that is not exactly one token
 */
export function bearerTokenOf(values: readonly string[]): string | null {
  const read = readBearerToken(values);
  if (read.kind === 'token') return read.token;
  if (read.kind === 'missing') return null;
  throw new PosternError(read.detail, { code: status.UNAUTHENTICATED, reason: 'TOKEN_MALFORMED' });
}
