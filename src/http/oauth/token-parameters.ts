import type { TokenSet } from '../../generated/postern/v1/auth.ts';
import type { Parameters } from './form.ts';
import { OAuthRefused } from './oauth-error.ts';

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

export function missing(name: string): OAuthRefused {
  return new OAuthRefused('invalid_request', `the parameter ${name} is missing`);
}

/** The audience of a token: `audience`, as many services call it, or `resource` (RFC 8707); empty for the default. */
export function audienceOf(parameters: Parameters): string {
  const audience = parameters.get('audience');
  const resource = parameters.get('resource');
  if (audience !== undefined && resource !== undefined && audience !== resource)
    throw new OAuthRefused('invalid_target', 'audience and resource differ; a token has one audience');
  return audience ?? resource ?? '';
}

/** What a token may do follows from the roles of its account, which no request can change. */
export function requireNoScope(parameters: Parameters): void {
  if (parameters.has('scope'))
    throw new OAuthRefused('invalid_scope', 'there are no scopes; a token has the roles of its account');
}
