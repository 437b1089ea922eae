import { Code } from '../../rpc/status-code.ts';

import { actorsOf } from '../../domain/claims/actor.ts';
import type { VerifiedClaims } from '../../domain/claims/claims.ts';
import type { CheckResponse } from '../../generated/envoy/service/auth/v3/external_auth.ts';
import { identityHeaders } from '../../policy/identity-headers.ts';
import { headerList } from './header-encoding.ts';
import { overwriteHeader } from './overwrite-header.ts';

/**
 * Allows a request, with the caller's identity in headers. A client's own `x-postern-` headers never reach the
 * upstream: the identity headers overwrite them, and all others are removed, in optional mode as well (E02).
 *
 * @param claims null for a caller without a token
 * @param reserved the names of the request's headers that begin with `x-postern-`
 * @throws Denied when the identity does not fit into headers (E05)
 */
export function allowedResponse(
  claims: VerifiedClaims | null,
  reserved: readonly string[],
  stripToken: boolean,
): CheckResponse {
  const identity = claims === null ? [] : identityOf(claims);
  const removed = new Set<string>([...Object.values(identityHeaders), ...reserved]);
  for (const [name] of identity) removed.delete(name);
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

/** Without headers that would be empty, because upstreams often test only whether a header is present. */
function identityOf(claims: VerifiedClaims): [name: string, value: string][] {
  const { subject, sessionId, roles, externalId, subjectName, acr, authenticatedAtSeconds } = claims;
  const actors = actorsOf(claims.actor).map((actor) => actor.name ?? actor.subject);
  const all: [string, string][] = [
    [identityHeaders.subject, headerList([subject])],
    [identityHeaders.session, headerList(sessionId === null ? [] : [sessionId])],
    [identityHeaders.roles, headerList(roles)],
    [identityHeaders.externalId, headerList(externalId === null ? [] : [externalId])],
    [identityHeaders.subjectName, headerList(subjectName === null ? [] : [subjectName])],
    // Outermost first: the one that called.
    [identityHeaders.actor, headerList(actors)],
    [identityHeaders.acr, headerList(acr === null ? [] : [acr])],
    // Unix time in seconds, as the claim auth_time.
    [identityHeaders.authTime, authenticatedAtSeconds === null ? '' : String(authenticatedAtSeconds)],
  ];
  return all.filter(([, value]) => value !== '');
}

/** Metadata for Envoy's RBAC filter and access logs, with unencoded claims. `expires_at` and `auth_time` are Unix times in seconds. */
function identityMetadata(claims: VerifiedClaims): Record<string, unknown> {
  const actors = actorsOf(claims.actor);
  return {
    subject: claims.subject,
    subject_type: claims.subjectType,
    ...(claims.sessionId !== null && { session_id: claims.sessionId }),
    ...(claims.tokenId !== null && { token_id: claims.tokenId }),
    ...(claims.externalId !== null && { external_id: claims.externalId }),
    ...(claims.subjectName !== null && { subject_name: claims.subjectName }),
    ...(actors.length > 0 && {
      actors: actors.map(({ subject, name }) => ({ subject, ...(name !== null && { name }) })),
    }),
    ...(claims.acr !== null && { acr: claims.acr }),
    ...(claims.amr.length > 0 && { amr: claims.amr }),
    ...(claims.authenticatedAtSeconds !== null && { auth_time: claims.authenticatedAtSeconds }),
    roles: claims.roles,
    audience: claims.audience,
    ...(claims.expiresAtSeconds !== Infinity && { expires_at: claims.expiresAtSeconds }),
  };
}
