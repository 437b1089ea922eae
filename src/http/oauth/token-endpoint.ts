import type { HttpCall } from '../http-call.ts';
import type { AuthCalls } from './auth-calls.ts';
import { challengeFor, readClientCredentials } from './client-authentication.ts';
import type { Parameters } from './form.ts';
import { FORM, type OAuthWork } from './oauth-endpoint.ts';
import { JWT_BEARER, jwtBearer, TOKEN_EXCHANGE, tokenExchange } from './exchange-grants.ts';
import { exchangeErrorOf, OAuthRefused, oauthErrorOf } from './oauth-error.ts';
import { audienceOf, missing, required, requireNoScope, tokenAnswer } from './token-parameters.ts';

type Grant = (parameters: Parameters, call: HttpCall) => Promise<object>;

/** The grants of `/oauth/token`, for its metadata. */
export function grantTypes({ hasPassword }: { readonly hasPassword: boolean }): readonly string[] {
  return [
    'client_credentials',
    'refresh_token',
    TOKEN_EXCHANGE,
    JWT_BEARER,
    ...(hasPassword ? ['password'] : []),
  ];
}

/**
 * `POST /oauth/token` (RFC 6749 section 3.2). Only `client_credentials` authenticates a client. A refresh token and an
 * exchanged token are their own proof, since they belong to no client: a `client_id` beside them is ignored.
 *
 * @param options.hasPassword whether the password grant is served, which OAuth 2.1 has removed
 */
export function tokenEndpoint(
  calls: AuthCalls,
  { hasPassword }: { readonly hasPassword: boolean },
): OAuthWork {
  const grants = new Map<string, Grant>([
    ['client_credentials', clientCredentials(calls)],
    ['refresh_token', refresh(calls)],
    [TOKEN_EXCHANGE, tokenExchange(calls)],
    [JWT_BEARER, jwtBearer(calls)],
    ...(hasPassword ? ([['password', passwordGrant(calls)]] as const) : []),
  ]);
  /** The calls of the grant whose refusals are `invalid_request` (RFC 8693 section 2.2.2). */
  const exchanges = new WeakSet<HttpCall>();
  return {
    path: calls.paths.issueServiceToken,
    type: FORM,
    errorOf(status, call) {
      if (call.path === calls.paths.exchangeToken)
        return exchangeErrorOf(status, exchanges.has(call) ? 'invalid_request' : 'invalid_grant');
      if (call.path !== calls.paths.issueServiceToken) return oauthErrorOf(status, 'invalid_grant');
      const error = oauthErrorOf(status, 'invalid_client');
      return error.error === 'invalid_client'
        ? { ...error, headers: challengeFor(call.authorization) }
        : error;
    },
    run(parameters, call) {
      const grantType = parameters.get('grant_type');
      if (grantType === undefined) throw missing('grant_type');
      const grant = grants.get(grantType);
      if (!grant)
        throw new OAuthRefused(
          'unsupported_grant_type',
          `grant_type must be one of ${[...grants.keys()].join(', ')}`,
        );
      requireNoScope(parameters);
      if (grantType === TOKEN_EXCHANGE) exchanges.add(call);
      return grant(parameters, call);
    },
  };
}

function clientCredentials(calls: AuthCalls): Grant {
  return async (parameters, call) => {
    const credentials = readClientCredentials(call.authorization, parameters);
    const audience = audienceOf(parameters);
    return tokenAnswer(await calls.issueServiceToken({ ...credentials, audience }, call));
  };
}

function refresh(calls: AuthCalls): Grant {
  return async (parameters, call) => {
    const refreshToken = required(parameters, 'refresh_token');
    return tokenAnswer(await calls.refreshToken({ refreshToken }, call));
  };
}

/** RFC 6749 section 4.3, with a `code` of a second factor, which is Postern's own. */
export function passwordGrant(calls: AuthCalls): Grant {
  return async (parameters, call) => {
    const email = required(parameters, 'username');
    const password = required(parameters, 'password');
    const audience = audienceOf(parameters);
    const code = parameters.get('code') ?? '';
    const request = { email, password, audience, client: undefined, code, passkey: undefined };
    return tokenAnswer(await calls.login(request, call));
  };
}
