import type { ExchangeTokenRequest, TokenSet } from '../../generated/postern/v1/auth.ts';
import type { HttpCall } from '../http-call.ts';
import type { AuthCalls } from './auth-calls.ts';
import type { Parameters } from './form.ts';
import { OAuthRefused } from './oauth-error.ts';
import { audienceOf, required, tokenAnswer } from './token-parameters.ts';

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
/** Which of them a token is makes no difference: it is read from the token itself. */
const TOKEN_TYPES: readonly string[] = [
  ACCESS_TOKEN_TYPE,
  'urn:ietf:params:oauth:token-type:jwt',
  'urn:ietf:params:oauth:token-type:id_token',
];

/**
 * Token exchange (RFC 8693), as ExchangeToken. `roles`, separated by spaces, and `service_account` are parameters of
 * Postern's own.
 */
export function tokenExchange(calls: AuthCalls) {
  return async (parameters: Parameters, call: HttpCall): Promise<object> => {
    const subjectToken = required(parameters, 'subject_token');
    requireTokenType(parameters, 'subject_token_type', true);
    const actorToken = parameters.get('actor_token') ?? '';
    requireTokenType(parameters, 'actor_token_type', actorToken !== '');
    const requestedType = parameters.get('requested_token_type') ?? ACCESS_TOKEN_TYPE;
    if (requestedType !== ACCESS_TOKEN_TYPE)
      throw new OAuthRefused(
        'invalid_request',
        `requested_token_type must be ${ACCESS_TOKEN_TYPE} or absent`,
      );
    const tokens = await exchange(calls, { subjectToken, actorToken }, parameters, call);
    return { ...tokenAnswer(tokens), issued_token_type: ACCESS_TOKEN_TYPE };
  };
}

/** An assertion as a grant (RFC 7523 section 2.1), as ExchangeToken without an actor token. */
export function jwtBearer(calls: AuthCalls) {
  return async (parameters: Parameters, call: HttpCall): Promise<object> => {
    const subjectToken = required(parameters, 'assertion');
    return tokenAnswer(await exchange(calls, { subjectToken, actorToken: '' }, parameters, call));
  };
}

function exchange(
  calls: AuthCalls,
  tokens: Pick<ExchangeTokenRequest, 'subjectToken' | 'actorToken'>,
  parameters: Parameters,
  call: HttpCall,
): Promise<TokenSet> {
  requireNoClientCredentials(parameters, call);
  return calls.exchangeToken(
    {
      ...tokens,
      audience: audienceOf(parameters),
      serviceAccount: parameters.get('service_account') ?? '',
      roles: (parameters.get('roles') ?? '').split(' ').filter((role) => role !== ''),
      lifetime: undefined,
    },
    call,
  );
}

/**
 * The subject's token is the proof, and an actor proves itself with a token. A client that authenticates otherwise expects
 * to be the actor: without this refusal its token would not say that it acts.
 */
function requireNoClientCredentials(parameters: Parameters, { authorization }: HttpCall): void {
  const isBearer = authorization.every((value) => /^bearer /i.test(value));
  if (isBearer && !parameters.has('client_secret') && !parameters.has('client_assertion')) return;
  throw new OAuthRefused(
    'invalid_request',
    'this grant takes no client authentication; a service that acts sends its access token as actor_token',
  );
}

function requireTokenType(parameters: Parameters, name: string, isRequired: boolean): void {
  const type = parameters.get(name);
  if (type === undefined ? !isRequired : isRequired && TOKEN_TYPES.includes(type)) return;
  throw new OAuthRefused(
    'invalid_request',
    isRequired
      ? `${name} must be one of ${TOKEN_TYPES.join(', ')}`
      : `${name} must be absent without actor_token`,
  );
}
