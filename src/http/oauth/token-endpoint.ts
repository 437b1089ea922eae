import type { TokenSet } from '../../generated/postern/v1/auth.ts';
import type { HttpCall } from '../http-call.ts';
import type { AuthCalls } from './auth-calls.ts';
import { challengeFor, readClientCredentials } from './client-authentication.ts';
import type { Parameters } from './form.ts';
import { FORM, type OAuthWork } from './oauth-endpoint.ts';
import { OAuthRefused, oauthErrorOf } from './oauth-error.ts';

type Grant = (parameters: Parameters, call: HttpCall) => Promise<object>;

/** The grants of `/oauth/token`, for its metadata. */
export function grantTypes({ hasPassword }: { readonly hasPassword: boolean }): readonly string[] {
  return ['client_credentials', 'refresh_token', ...(hasPassword ? ['password'] : [])];
}

/**
 * `POST /oauth/token` (RFC 6749 section 3.2). Only `client_credentials` authenticates a client. A refresh token is its own
 * proof, since it belongs to a user and not to a client: a `client_id` beside it is ignored.
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
    ...(hasPassword ? ([['password', passwordGrant(calls)]] as const) : []),
  ]);
  return {
    path: calls.paths.issueServiceToken,
    type: FORM,
    errorOf(status, call) {
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

/** RFC 6749 section 4.3. */
export function passwordGrant(calls: AuthCalls): Grant {
  return async (parameters, call) => {
    const email = required(parameters, 'username');
    const password = required(parameters, 'password');
    const audience = audienceOf(parameters);
    return tokenAnswer(await calls.login({ email, password, audience, client: undefined }, call));
  };
}

/** RFC 6749 section 5.1. */
export function tokenAnswer({ accessToken, tokenType, expiresIn, refreshToken }: TokenSet): object {
  return {
    access_token: accessToken,
    token_type: tokenType,
    expires_in: expiresIn,
    ...(refreshToken !== '' && { refresh_token: refreshToken }),
  };
}

/** @throws OAuthRefused when the parameter is absent or empty */
export function required(parameters: Parameters, name: string): string {
  const value = parameters.get(name);
  if (value === undefined) throw missing(name);
  return value;
}

function missing(name: string): OAuthRefused {
  return new OAuthRefused('invalid_request', `the parameter ${name} is missing`);
}

/** What a token may do follows from the roles of its account, which no request can change. */
export function requireNoScope(parameters: Parameters): void {
  if (parameters.has('scope'))
    throw new OAuthRefused('invalid_scope', 'there are no scopes; a token has the roles of its account');
}

/** The audience of a token: `audience`, as many services call it, or `resource` (RFC 8707); empty for the default. */
export function audienceOf(parameters: Parameters): string {
  const audience = parameters.get('audience');
  const resource = parameters.get('resource');
  if (audience !== undefined && resource !== undefined && audience !== resource)
    throw new OAuthRefused('invalid_target', 'audience and resource differ; a token has one audience');
  return audience ?? resource ?? '';
}
