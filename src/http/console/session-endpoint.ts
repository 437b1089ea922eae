import {
  AuthServiceService,
  ChangePasswordRequest,
  LoginRequest,
  LoginWithPasskeyRequest,
  TokenSet,
} from '../../generated/postern/v1/auth.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { ServiceHandlers } from '../../rpc/handlers.ts';
import type { MethodGuard } from '../../rpc/method-guard.ts';
import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';
import { Code } from '../../rpc/status-code.ts';
import { STANDARD_DEADLINE_MS } from '../../rpc/time-limits.ts';
import { parseStrictJson } from '../../tokens/verify/strict-json.ts';
import type { Answer } from '../answer.ts';
import type { HostCheck } from '../host-check.ts';
import type { CallAnswer, Endpoint, HttpCall } from '../http-call.ts';
import { plainCall } from '../guarded-call.ts';
import { connectError } from '../rpc/connect-protocol.ts';
import { decompressed } from '../rpc/gzip.ts';
import type { JsonCodec } from '../rpc/json-codec.ts';
import { errorOf } from '../rpc/rpc-endpoint.ts';
import { invalidRequest } from '../rpc/rpc-protocol.ts';
import { CONSOLE_HEADERS } from './console-files.ts';
import { isSameOrigin } from './same-origin.ts';
import { NO_SESSION_COOKIE, refreshTokensOf, sessionCookie } from './session-cookie.ts';

const { login, loginWithPasskey, changePassword, refreshToken, revokeToken } = AuthServiceService;

/** Where the console is. */
interface OwnAddresses {
  readonly origins: ReadonlySet<string>;
  readonly hosts: HostCheck;
}

/** What a route answers: the members of the JSON, and the new value of the cookie; null leaves the cookie as it is. */
interface SessionAnswer {
  readonly json: string;
  readonly cookie: string | null;
}

/** No browser sends more of one name and path: one with `Partitioned`, and one without. */
const MAX_COOKIES = 2;
const NO_SESSION: SessionAnswer = { json: '{}', cookie: null };

/** One of the routes. */
interface SessionRoute {
  /** The path of the RPC under which a request is counted and logged, until the route knows better. */
  readonly path: string;
  /** @throws Rejected */
  readonly run: (body: Buffer, call: HttpCall) => Promise<SessionAnswer>;
}

/**
 * The session of a page of the console, by path. Only these routes read or set the cookie. A refresh token never reaches
 * the scripts of the page.
 */
export function sessionEndpoints(
  handlers: ServiceHandlers<typeof AuthServiceService>,
  guard: MethodGuard,
  options: OwnAddresses & { readonly loadCodec: () => Promise<JsonCodec> },
): ReadonlyMap<string, Endpoint> {
  const { origins, hosts, loadCodec } = options;
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
  const open = async (body: Buffer, call: HttpCall) => {
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
    const credentials = request(login.path, (bytes) => LoginRequest.decode(bytes));
    return opened(await run.login(credentials, call));
  };
  const refresh = async (_body: Buffer, call: HttpCall) => {
    const [token, ...others] = refreshTokensOf(call.request.headers.cookie);
    // Of several it cannot be told which is the console's own. A first visit is no refusal, which a browser would report as
    // an error.
    if (token === undefined || others.length > 0) {
      call.noteNoOp();
      return NO_SESSION;
    }
    return opened(await run.refresh({ refreshToken: token }, call));
  };
  const end = async (_body: Buffer, call: HttpCall) => {
    const tokens = refreshTokensOf(call.request.headers.cookie);
    if (tokens.length === 0) call.noteNoOp();
    if (tokens.length > MAX_COOKIES) throw invalidRequest('cookie', 'delete the cookies of this host');
    // All of several: otherwise the page would say that its session has ended, and it would live.
    for (const token of tokens) await run.revoke({ token, allSessions: false }, call);
    return { json: '{}', cookie: NO_SESSION_COOKIE };
  };
  const routes: readonly [string, SessionRoute][] = [
    ['/console/session', { path: login.path, run: open }],
    ['/console/session/refresh', { path: refreshToken.path, run: refresh }],
    ['/console/session/end', { path: revokeToken.path, run: end }],
  ];
  return new Map(routes.map(([path, route]) => [path, new SessionEndpoint(route, { origins, hosts })]));
}

/** The members of a JSON object; empty for anything else, which the codec refuses. */
function membersOf(body: Buffer): ReadonlySet<string> {
  return new Set(Object.keys(parseStrictJson(body.toString()) ?? {}));
}

class SessionEndpoint implements Endpoint {
  readonly path: string;
  readonly deadlineMs = STANDARD_DEADLINE_MS;
  readonly isSameOriginOnly = true;
  readonly #route: SessionRoute;
  readonly #own: OwnAddresses;

  constructor(route: SessionRoute, own: OwnAddresses) {
    this.path = route.path;
    this.#route = route;
    this.#own = own;
  }

  async answer(call: HttpCall): Promise<CallAnswer> {
    try {
      const refusal = refusalOf(call, this.#own);
      if (refusal) {
        const error = errorOf(refusal.error, call);
        const answer = connectError(error, refusal.httpStatus);
        return { ...answer, headers: headersOf(answer.headers, refusal.headers), code: error.code };
      }
      const sent = await call.readBody(MAX_MESSAGE_BYTES);
      const body = await decompressed(sent, call.request.headers['content-encoding'], 'content-encoding');
      const { json, cookie } = await call.beforeDeadline(this.#route.run(body, call));
      const headers = headersOf({ 'content-type': 'application/json' }, withCookie(cookie));
      return { status: 200, headers, body: json, code: Code.OK };
    } catch (error) {
      const refused = errorOf(error, call);
      const answer = connectError(refused);
      const headers = headersOf(answer.headers, withCookie(isEndOfSession(error) ? NO_SESSION_COOKIE : null));
      return { ...answer, headers, code: refused.code };
    }
  }
}

type Headers = NonNullable<Answer['headers']>;

function headersOf(own: Headers = {}, more: Headers = {}): Headers {
  return { ...CONSOLE_HEADERS, ...own, ...more };
}

function withCookie(cookie: string | null): Headers {
  return cookie === null ? {} : { 'set-cookie': cookie };
}

/** Whether the token in the cookie will never be accepted again. */
function isEndOfSession(error: unknown): boolean {
  return error instanceof Rejected && error.rejection.kind === 'refresh-refused';
}

/** Why a request is not one of a page of the console, or null. */
function refusalOf(
  { request }: HttpCall,
  { origins, hosts }: OwnAddresses,
): { httpStatus: number; error: Rejected; headers?: Headers } | null {
  const { method, headers } = request;
  const fault = hosts(request);
  if (fault) return { httpStatus: fault.status, error: invalidRequest('host', fault.description) };
  if (method !== 'POST')
    return {
      httpStatus: 405,
      error: invalidRequest('', 'this route is called with POST'),
      headers: { allow: 'POST' },
    };
  if (!isSameOrigin(headers, origins))
    return {
      httpStatus: 403,
      error: invalidRequest('sec-fetch-site', 'only pages of the console may call this route'),
    };
  if (!/^application\/json(?: *; *charset="?utf-8"?)?$/i.test(headers['content-type'] ?? ''))
    return { httpStatus: 415, error: invalidRequest('content-type', 'send application/json') };
  return null;
}
