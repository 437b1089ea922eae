import {
  AuthServiceService,
  ChangePasswordRequest,
  LoginRequest,
  LoginWithPasskeyRequest,
  type RevokeTokenRequest,
  TokenSet,
} from '../../generated/postern/v1/auth.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { ServiceHandlers } from '../../rpc/handlers.ts';
import type { MethodGuard } from '../../rpc/method-guard.ts';
import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';
import { Code } from '../../rpc/status-code.ts';
import { STANDARD_DEADLINE_MS } from '../../rpc/time-limits.ts';
import { parseStrictJson } from '../../tokens/verify/strict-json.ts';
import type { CallAnswer, Endpoint, HttpCall } from '../http-call.ts';
import { plainCall } from '../guarded-call.ts';
import { connectError } from '../rpc/connect-protocol.ts';
import type { JsonCodec } from '../rpc/json-codec.ts';
import { errorOf } from '../rpc/rpc-endpoint.ts';
import { invalidRequest } from '../rpc/rpc-protocol.ts';
import { isSameOrigin } from './same-origin.ts';
import { NO_SESSION_COOKIE, refreshTokenOf, sessionCookie } from './session-cookie.ts';

const { login, loginWithPasskey, changePassword, refreshToken, revokeToken } = AuthServiceService;

/** What a route answers: the members of the JSON, and the new value of the cookie; null leaves the cookie as it is. */
interface SessionAnswer {
  readonly json: string;
  readonly cookie: string | null;
}

/** What one of the routes does with the body of a request. @throws Rejected */
type SessionWork = (body: Buffer, call: HttpCall) => Promise<SessionAnswer>;

/**
 * The session of a page of the console, by path. Only these routes read or set the cookie. A refresh token never reaches
 * the scripts of the page.
 */
export function sessionEndpoints(
  handlers: ServiceHandlers<typeof AuthServiceService>,
  guard: MethodGuard,
  {
    origins,
    loadCodec,
  }: { readonly origins: ReadonlySet<string>; readonly loadCodec: () => Promise<JsonCodec> },
): ReadonlyMap<string, Endpoint> {
  const run = {
    login: plainCall(login.path, guard, handlers.login),
    loginWithPasskey: plainCall(loginWithPasskey.path, guard, handlers.loginWithPasskey),
    changePassword: plainCall(changePassword.path, guard, handlers.changePassword),
    refresh: plainCall(refreshToken.path, guard, handlers.refreshToken),
    revoke: plainCall(revokeToken.path, guard, handlers.revokeToken),
  };
  const opened = async (tokens: TokenSet): Promise<SessionAnswer> => {
    const withoutRefreshToken = TokenSet.encode({ ...tokens, refreshToken: '' }).finish();
    return {
      json: (await loadCodec()).method(login.path).responseToJson(withoutRefreshToken),
      cookie: sessionCookie(tokens.refreshToken, tokens.refreshExpiresIn),
    };
  };
  const works: readonly [string, SessionWork][] = [
    [
      '/console/session',
      async (body, call) => {
        const codec = await loadCodec();
        const request = <T>(path: string, decode: (bytes: Buffer) => T) =>
          codec.method(path).requestFromJson(body, decode) as T;
        const members = membersOf(body);
        if (members.has('newPassword') || members.has('new_password')) {
          const change = request(changePassword.path, (bytes) => ChangePasswordRequest.decode(bytes));
          return opened(await run.changePassword(change, call));
        }
        if (members.has('credentialJson') || members.has('credential_json')) {
          const answer = request(loginWithPasskey.path, (bytes) => LoginWithPasskeyRequest.decode(bytes));
          return opened(await run.loginWithPasskey(answer, call));
        }
        return opened(
          await run.login(
            request(login.path, (bytes) => LoginRequest.decode(bytes)),
            call,
          ),
        );
      },
    ],
    [
      '/console/session/refresh',
      async (_body, call) => {
        const token = refreshTokenOf(call.request.headers.cookie);
        if (token === null)
          throw new Rejected({ kind: 'refresh-refused', reason: 'REFRESH_TOKEN_INVALID', cause: 'unknown' });
        return opened(await run.refresh({ refreshToken: token }, call));
      },
    ],
    [
      '/console/session/end',
      async (_body, call) => {
        const token = refreshTokenOf(call.request.headers.cookie);
        const request: RevokeTokenRequest = { token: token ?? '', allSessions: false };
        if (token !== null) await run.revoke(request, call);
        return { json: '{}', cookie: NO_SESSION_COOKIE };
      },
    ],
  ];
  return new Map(works.map(([path, work]) => [path, new SessionEndpoint(origins, work)]));
}

/** The members of a JSON object; empty for anything else, which the codec refuses. */
function membersOf(body: Buffer): ReadonlySet<string> {
  return new Set(Object.keys(parseStrictJson(body.toString()) ?? {}));
}

class SessionEndpoint implements Endpoint {
  readonly path = login.path;
  readonly deadlineMs = STANDARD_DEADLINE_MS;
  readonly #origins: ReadonlySet<string>;
  readonly #work: SessionWork;

  constructor(origins: ReadonlySet<string>, work: SessionWork) {
    this.#origins = origins;
    this.#work = work;
  }

  async answer(call: HttpCall): Promise<CallAnswer> {
    try {
      const refusal = refusalOf(call, this.#origins);
      if (refusal) {
        const error = errorOf(refusal.error, call);
        return { ...connectError(error, refusal.httpStatus), code: error.code };
      }
      const body = await call.readBody(MAX_MESSAGE_BYTES);
      const { json, cookie } = await call.beforeDeadline(this.#work(body, call));
      const headers = {
        'content-type': 'application/json',
        ...(cookie !== null && { 'set-cookie': cookie }),
      };
      return { status: 200, headers, body: json, code: Code.OK };
    } catch (error) {
      const refused = errorOf(error, call);
      return { ...connectError(refused), code: refused.code };
    }
  }
}

/** Why a request is not one of a page of the console, or null. */
function refusalOf(
  { request: { method, headers } }: HttpCall,
  origins: ReadonlySet<string>,
): { httpStatus: number; error: Rejected } | null {
  if (method !== 'POST')
    return { httpStatus: 405, error: invalidRequest('', 'this route is called with POST') };
  if (!isSameOrigin(headers, origins))
    return {
      httpStatus: 403,
      error: invalidRequest('sec-fetch-site', 'only pages of the console may call this route'),
    };
  if (!/^application\/json(?: *; *charset="?utf-8"?)?$/i.test(headers['content-type'] ?? ''))
    return { httpStatus: 415, error: invalidRequest('content-type', 'send application/json') };
  return null;
}
