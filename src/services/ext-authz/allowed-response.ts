import { Code } from '../../rpc/status-code.ts';

import type { VerifiedClaims } from '../../domain/claims.ts';
import type { CheckResponse } from '../../generated/envoy/service/auth/v3/external_auth.ts';
import { headerList } from './header-encoding.ts';
import { overwriteHeader } from './overwrite-header.ts';

const IDENTITY_HEADERS = ['x-postern-subject', 'x-postern-session', 'x-postern-roles'] as const;

/**
 * Lets a request pass with the caller's identity, or with none. A client's own `x-postern-` headers never pass: what we
 * set is overwritten, all others are removed, in optional mode as well (E02).
 *
 * @param claims null for a caller without a token
 * @param reserved the names of the request's headers that only we set
 * @throws Denied when the identity does not fit into headers (E05)
 */
export function allowedResponse(
  claims: VerifiedClaims | null,
  reserved: readonly string[],
  stripToken: boolean,
): CheckResponse {
  const identity = claims === null ? [] : identityHeaders(claims);
  const set = new Set(identity.map(([name]) => name));
  const removed = new Set<string>([...IDENTITY_HEADERS, ...reserved]);
  for (const name of set) removed.delete(name);
  if (stripToken) removed.add('authorization');
  return {
    status: { code: Code.OK, message: '', details: [] },
    httpResponse: {
      $case: 'okResponse',
      value: {
        headers: identity.map(([name, value]) => overwriteHeader(name, value)),
        headersToRemove: [...removed],
      },
    },
    dynamicMetadata: claims === null ? undefined : identityMetadata(claims),
  };
}

/** Without those that would be empty: an upstream tests for presence more often than for text. */
function identityHeaders({ subject, sessionId, roles }: VerifiedClaims): [name: string, value: string][] {
  const [subjectHeader, sessionHeader, rolesHeader] = IDENTITY_HEADERS;
  const all: [string, string][] = [
    [subjectHeader, headerList([subject])],
    [sessionHeader, headerList(sessionId === null ? [] : [sessionId])],
    [rolesHeader, headerList(roles)],
  ];
  return all.filter(([, value]) => value !== '');
}

/** For Envoy's RBAC filter and access logs, with the claims as they are; `expires_at` in seconds since the epoch. */
function identityMetadata(claims: VerifiedClaims): Record<string, unknown> {
  return {
    subject: claims.subject,
    subject_type: claims.subjectType,
    ...(claims.sessionId !== null && { session_id: claims.sessionId }),
    ...(claims.tokenId !== null && { token_id: claims.tokenId }),
    roles: claims.roles,
    audience: claims.audience,
    expires_at: claims.expiresAtSeconds,
  };
}
