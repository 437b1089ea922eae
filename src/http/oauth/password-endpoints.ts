import type { RpcStatus } from '../../rpc/rpc-status.ts';
import { Code } from '../../rpc/status-code.ts';
import { parseStrictJson } from '../../tokens/verify/strict-json.ts';
import type { AuthCalls } from './auth-calls.ts';
import { decodeUtf8, type Parameters } from './form.ts';
import { FORM, type OAuthWork } from './oauth-endpoint.ts';
import { type OAuthError, OAuthRefused, oauthErrorOf } from './oauth-error.ts';
import { passwordGrant } from './token-endpoint.ts';
import { requireNoScope } from './token-parameters.ts';

/** Clients of a tutorial's server expect 401 for a wrong password, with this challenge. A wrong code is as wrong. */
function errorOf(status: RpcStatus): OAuthError {
  const error = oauthErrorOf(status, 'invalid_grant');
  return status.code === Code.UNAUTHENTICATED && error.error === 'invalid_grant'
    ? { ...error, httpStatus: 401, headers: { 'www-authenticate': 'Bearer' } }
    : error;
}

/** `POST /token` with the form of FastAPI's `OAuth2PasswordRequestForm`, in which `grant_type` may be absent. */
export function formLogin(calls: AuthCalls): OAuthWork {
  const login = passwordGrant(calls);
  return {
    path: calls.paths.login,
    type: FORM,
    hasDetail: true,
    errorOf,
    run(parameters, call) {
      const grantType = parameters.get('grant_type') ?? 'password';
      if (grantType !== 'password')
        throw new OAuthRefused('unsupported_grant_type', 'grant_type must be password or absent');
      requireNoScope(parameters);
      return login(parameters, call);
    },
  };
}

/** `POST /login` with `{"email": ..., "password": ...}` and, for a user with a second factor, a `code`. */
export function jsonLogin(calls: AuthCalls): OAuthWork {
  const login = passwordGrant(calls);
  return {
    path: calls.paths.login,
    type: 'application/json',
    parse: parseLogin,
    hasDetail: true,
    errorOf,
    run: (parameters, call) => login(parameters, call),
  };
}

const MEMBERS: ReadonlyMap<string, string> = new Map([
  ['email', 'username'],
  ['username', 'username'],
  ['password', 'password'],
  ['code', 'code'],
]);

/** @throws OAuthRefused `invalid_request` for anything but an object with an e-mail and a password */
function parseLogin(body: Uint8Array): Parameters {
  const object = parseStrictJson(decodeUtf8(body));
  if (object === null)
    throw new OAuthRefused(
      'invalid_request',
      'the body must be one JSON object, in which no member occurs twice',
    );
  const parameters = new Map<string, string>();
  for (const [member, value] of Object.entries(object)) {
    const name = MEMBERS.get(member);
    if (name === undefined || typeof value !== 'string' || parameters.has(name))
      throw new OAuthRefused(
        'invalid_request',
        'the body must have the members email and password and may have code, all texts',
      );
    if (value !== '') parameters.set(name, value);
  }
  return parameters;
}
