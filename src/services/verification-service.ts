import {
  authenticationLevels,
  type AuthenticationRequirement,
  isAuthenticationLevel,
  NO_AUTHENTICATION_REQUIREMENT,
} from '../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../domain/claims/claims.ts';
import type { Actor } from '../domain/claims/actor.ts';
import {
  type Actor as WireActor,
  AuthServiceService,
  CredentialKind,
  SubjectType,
  VerifiedToken,
  type VerifyTokenRequest,
} from '../generated/postern/v1/auth.ts';
import type { CallOrigin } from '../domain/operation-call.ts';
import { Rejected } from '../domain/rejection.ts';
import type { VerifyInput } from '../features/authentication/verify-token.ts';
import { callerAddress } from '../net/peer-address.ts';
import { forwardedIp } from '../net/forwarded-ip.ts';
import type { Call } from '../rpc/call.ts';
import { bearerToken } from '../rpc/bearer-token.ts';
import { EncodedReplyCache } from '../rpc/encoded-reply-cache.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';

/** The only method of AuthService that needs no database. A sidecar serves this method alone. */
export const verificationOnly = { verifyToken: AuthServiceService.verifyToken };

export interface VerificationOperations {
  verifyToken(input: VerifyInput): VerifiedClaims | Promise<VerifiedClaims>;
}

/**
 * `postern.v1.AuthService/VerifyToken`. Answers synchronously for a token that is in the verification cache.
 *
 * @param isTrustedForwarder whose `client_address` counts; by default as in a login (L12)
 */
export function verificationService(
  operations: VerificationOperations,
  isTrustedForwarder: (origin: CallOrigin) => boolean = (origin) => origin.isTrustedForwarder,
): ServiceHandlers<typeof verificationOnly> {
  const replies = new EncodedReplyCache<VerifiedClaims>();
  const reply = (claims: VerifiedClaims) =>
    replies.of(claims, () => VerifiedToken.encode(verifiedToken(claims)).finish());
  return {
    verifyToken: (request, call) => {
      const token =
        request.accessToken === '' ? bearerToken(call.authorization, 'token-in-field') : request.accessToken;
      const address = clientAddress(request.clientAddress, call, isTrustedForwarder);
      const requirement = requirementOf(request);
      const claims = operations.verifyToken({ token, audience: request.audience, address, requirement });
      return claims instanceof Promise ? claims.then(reply) : reply(claims);
    },
  };
}

/**
 * The address of the client that sent the token. It counts only from a trusted forwarder; from other callers it is ignored
 * before it is validated.
 *
 * @throws Rejected `field-invalid`
 */
function clientAddress(
  text: string,
  call: Call,
  isTrustedForwarder: (origin: CallOrigin) => boolean,
): string | null {
  if (text === '' || !isTrustedForwarder(call.origin)) return null;
  const address = forwardedIp(text);
  if (address !== null) return callerAddress(address);
  const violations = [{ field: 'client_address', description: 'must be an IP address' }];
  throw new Rejected({ kind: 'field-invalid', violations });
}

/** @throws Rejected `field-invalid` for a level that does not exist: it would otherwise require nothing */
function requirementOf({ minAcr, maxAuthAge }: VerifyTokenRequest): AuthenticationRequirement {
  if (minAcr === '' && maxAuthAge === undefined) return NO_AUTHENTICATION_REQUIREMENT;
  if (minAcr === '' || isAuthenticationLevel(minAcr))
    return { minAcr: minAcr === '' ? null : minAcr, maxAuthAgeSeconds: maxAuthAge ?? null };
  const description = `must be ${authenticationLevels.join(' or ')}, or empty`;
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'min_acr', description }] });
}

function verifiedToken(claims: VerifiedClaims): VerifiedToken {
  return {
    subject: claims.subject,
    sessionId: claims.sessionId ?? '',
    tokenId: claims.tokenId ?? '',
    issuer: claims.issuer ?? '',
    audience: [...claims.audience],
    roles: [...claims.roles],
    issuedAt: claims.issuedAtSeconds === null ? undefined : new Date(claims.issuedAtSeconds * 1000),
    expiresAt: claims.expiresAtSeconds === Infinity ? undefined : new Date(claims.expiresAtSeconds * 1000),
    subjectType: claims.subjectType === 'user' ? SubjectType.USER : SubjectType.SERVICE,
    externalId: claims.externalId ?? '',
    subjectName: claims.subjectName ?? '',
    actor: claims.actor === null ? undefined : wireActor(claims.actor),
    credentialKind:
      claims.credentialKind === 'api-key' ? CredentialKind.API_KEY : CredentialKind.ACCESS_TOKEN,
    acr: claims.acr ?? '',
    amr: [...claims.amr],
    authenticatedAt:
      claims.authenticatedAtSeconds === null ? undefined : new Date(claims.authenticatedAtSeconds * 1000),
  };
}

function wireActor({ subject, name, actor }: Actor): WireActor {
  return { subject, name: name ?? '', actor: actor === null ? undefined : wireActor(actor) };
}
