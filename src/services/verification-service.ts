import type { VerifiedClaims } from '../domain/claims/claims.ts';
import type { Actor } from '../domain/claims/actor.ts';
import {
  type Actor as WireActor,
  AuthServiceService,
  CredentialKind,
  SubjectType,
  VerifiedToken,
} from '../generated/postern/v1/auth.ts';
import { bearerToken } from '../rpc/bearer-token.ts';
import { EncodedReplyCache } from '../rpc/encoded-reply-cache.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';

/** The only method of AuthService that needs no database. A sidecar serves this method alone. */
export const verificationOnly = { verifyToken: AuthServiceService.verifyToken };

export interface VerificationOperations {
  verifyToken(input: { token: string; audience: string }): VerifiedClaims | Promise<VerifiedClaims>;
}

/** `postern.v1.AuthService/VerifyToken`. Answers synchronously for a token that is in the verification cache. */
export function verificationService(
  operations: VerificationOperations,
): ServiceHandlers<typeof verificationOnly> {
  const replies = new EncodedReplyCache<VerifiedClaims>();
  const reply = (claims: VerifiedClaims) =>
    replies.of(claims, () => VerifiedToken.encode(verifiedToken(claims)).finish());
  return {
    verifyToken: (request, call) => {
      const token =
        request.accessToken === '' ? bearerToken(call.authorization, 'token-in-field') : request.accessToken;
      const claims = operations.verifyToken({ token, audience: request.audience });
      return claims instanceof Promise ? claims.then(reply) : reply(claims);
    },
  };
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
    expiresAt: new Date(claims.expiresAtSeconds * 1000),
    subjectType: claims.subjectType === 'user' ? SubjectType.USER : SubjectType.SERVICE,
    externalId: claims.externalId ?? '',
    subjectName: claims.subjectName ?? '',
    actor: claims.actor === null ? undefined : wireActor(claims.actor),
    credentialKind:
      claims.credentialKind === 'api-key' ? CredentialKind.API_KEY : CredentialKind.ACCESS_TOKEN,
  };
}

function wireActor({ subject, name, actor }: Actor): WireActor {
  return { subject, name: name ?? '', actor: actor === null ? undefined : wireActor(actor) };
}
