import {
  type Actor,
  CredentialKind,
  SubjectType,
  type VerifiedToken,
} from '../../generated/postern/v1/auth.ts';
import { SESSION_CLIENT_ID } from '../../domain/claims/derived-token.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { HttpCall } from '../http-call.ts';
import type { AuthCalls } from './auth-calls.ts';
import { challengeFor, readClientCredentials } from './client-authentication.ts';
import type { Parameters } from './form.ts';
import { FORM, type OAuthWork } from './oauth-endpoint.ts';
import { OAuthRefused, oauthErrorOf } from './oauth-error.ts';
import { audienceOf, required } from './token-parameters.ts';

/**
 * `POST /oauth/introspect` (RFC 7662), for any service account, which authenticates as for a token or by its access token.
 * The token is a JWT that whoever holds it can read, so which account may ask about which token protects nothing.
 *
 * While keys and revocations are too old, or the database does not answer for the credentials, the answer is 503: a valid
 * token is never called inactive. A refresh token is inactive: only Postern accepts it. So is an API key that can be used from some networks
 * only, since the request has no address.
 */
export function introspectionEndpoint(calls: AuthCalls): OAuthWork {
  return {
    path: calls.paths.verifyToken,
    type: FORM,
    errorOf(status, call) {
      const error = oauthErrorOf(status, 'invalid_client');
      if (error.error !== 'invalid_client') return error;
      return { ...error, headers: isBearer(call) ? BEARER_CHALLENGE : challengeFor(call.authorization) };
    },
    async run(parameters, call) {
      await authenticate(calls, parameters, call);
      const accessToken = required(parameters, 'token');
      const audience = audienceOf(parameters);
      try {
        return introspection(
          await calls.verifyToken(
            { accessToken, audience, minAcr: '', maxAuthAge: undefined, clientAddress: '' },
            call,
          ),
        );
      } catch (error) {
        if (error instanceof Rejected && INACTIVE.has(error.rejection.kind)) return { active: false };
        throw error;
      }
    },
  };
}

const INACTIVE: ReadonlySet<string> = new Set(['token-refused', 'api-key-invalid']);

const BEARER_CHALLENGE = { 'www-authenticate': 'Bearer realm="postern"' };

function isBearer({ authorization }: HttpCall): boolean {
  return authorization.length === 1 && /^Bearer(?: |$)/i.test(authorization[0] ?? '');
}

async function authenticate(calls: AuthCalls, parameters: Parameters, call: HttpCall): Promise<void> {
  if (!isBearer(call)) {
    await calls.authenticateService(readClientCredentials(call.authorization, parameters), call);
    return;
  }
  if (parameters.has('client_secret') || parameters.has('client_assertion'))
    throw new OAuthRefused('invalid_request', 'the client authenticates in several ways; use one');
  await calls.authenticateBearer(call);
}

/** The members of RFC 7662 section 2.2, with the claims of Postern's tokens. There is never a `username`. */
function introspection(token: VerifiedToken): object {
  const { subject, sessionId, tokenId, audience, externalId, subjectName, actor, acr, amr } = token;
  const isService = token.subjectType === SubjectType.SERVICE;
  const isKeyOfUser = !isService && token.credentialKind === CredentialKind.API_KEY;
  const [onlyAudience] = audience;
  return {
    active: true,
    token_type: 'Bearer',
    ...(token.issuer !== '' && { iss: token.issuer }),
    sub: subject,
    ...(onlyAudience !== undefined && { aud: audience.length === 1 ? onlyAudience : audience }),
    // Whoever asked for the token: the service that acts for the subject, or the subject (RFC 8693 section 4.3).
    // An API key of a user is no token of a client.
    ...(!isKeyOfUser && { client_id: actor?.subject ?? (isService ? subject : SESSION_CLIENT_ID) }),
    ...(token.expiresAt && { exp: seconds(token.expiresAt) }),
    ...(token.issuedAt && { iat: seconds(token.issuedAt) }),
    ...(tokenId !== '' && { jti: tokenId }),
    ...(sessionId !== '' && { sid: sessionId }),
    ...(externalId !== '' && { external_id: externalId }),
    ...(subjectName !== '' && { name: subjectName }),
    ...(actor && { act: actClaim(actor) }),
    // RFC 9470 section 6.2.
    ...(acr !== '' && { acr }),
    ...(amr.length > 0 && { amr }),
    ...(token.authenticatedAt && { auth_time: seconds(token.authenticatedAt) }),
    roles: token.roles,
  };
}

/** As in the token (RFC 8693 section 4.1). */
function actClaim({ subject, name, actor }: Actor): object {
  return { sub: subject, ...(name !== '' && { name }), ...(actor && { act: actClaim(actor) }) };
}

function seconds(date: Date | undefined): number {
  return Math.floor((date?.getTime() ?? 0) / 1000);
}
