import { Code } from '../../rpc/status-code.ts';
import type { AuthCalls } from './auth-calls.ts';
import { FORM, type OAuthWork } from './oauth-endpoint.ts';
import { oauthErrorOf } from './oauth-error.ts';
import { required } from './token-parameters.ts';

/**
 * `POST /oauth/revoke` (RFC 7009), as RevokeToken: 200 means that no verifier accepts the token any more, also for a token
 * that was never valid. 503 means: try again. The client need not authenticate, because whoever holds a token may end it, and
 * a stolen one should end soon. `token_type_hint` and credentials of a client are ignored.
 */
export function revocationEndpoint(calls: AuthCalls): OAuthWork {
  return {
    path: calls.paths.revokeToken,
    type: FORM,
    errorOf: (status) =>
      status.code === Code.INVALID_ARGUMENT
        ? { error: 'unsupported_token_type', httpStatus: 400 }
        : oauthErrorOf(status, 'invalid_grant'),
    async run(parameters, call) {
      await calls.revokeToken({ token: required(parameters, 'token'), allSessions: false }, call);
      return null;
    },
  };
}
