import { status } from '@grpc/grpc-js';

import { stepUpParameters } from '../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../domain/claims/claims.ts';
import { optionsFor } from './api-key-verification.ts';
import { hasMethods, isRecord, requireVerifier, throwFaults } from './argument-checks.ts';
import { bearerTokenOf } from './bearer-token.ts';
import { PosternError } from './postern-error.ts';
import {
  type Requirements,
  validateRequirements,
  validateVerifyOptions,
  type VerifyOptions,
} from './access-rules.ts';
import type { Verifier } from './verifier.ts';

declare global {
  // The namespace that `@types/express` provides for this; without Express it has no effect.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      /** Set by `requireToken`. */
      caller?: VerifiedClaims;
    }
  }
}

/** Request headers: a fetch `Headers`, or the plain object of Node, Express and Fastify. */
export type RequestHeaders =
  { get(name: string): string | null } | Readonly<Record<string, string | readonly string[] | undefined>>;

/** The response to send when a request is refused. With fetch: `new Response(refusal.body, refusal)`. */
export interface HttpRefusal {
  readonly status: 401 | 403 | 500 | 503;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON: `{"error": "TOKEN_EXPIRED", "message": "…"}`. */
  readonly body: string;
}

export type HttpVerdict =
  | { readonly ok: true; readonly caller: VerifiedClaims }
  | { readonly ok: false; readonly refusal: HttpRefusal };

/** The members of a request and response of Node, Express or Connect that a guard uses. */
interface NodeRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** All values of repeated headers; `headers` has only the first. */
  readonly headersDistinct?: Readonly<Record<string, readonly string[] | undefined>>;
  /** Names and values in turn; what a request of HTTP/2 has instead. */
  readonly rawHeaders?: readonly string[];
  /** Express: the address of the client, behind a proxy by its setting `trust proxy`. */
  readonly ip?: string | undefined;
  readonly socket?: { readonly remoteAddress?: string | undefined };
  caller?: VerifiedClaims;
}
interface NodeResponse {
  statusCode: number;
  readonly headersSent?: boolean;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/** The same for Fastify. */
interface FastifyRequest {
  readonly raw: NodeRequest;
  /** The address of the client, behind a proxy by the option `trustProxy`. */
  readonly ip?: string;
  caller?: VerifiedClaims;
}
interface FastifyReply {
  code(status: number): unknown;
  headers(values: Record<string, string>): unknown;
  send(body: string): unknown;
}

/**
 * Authenticates an HTTP request by its `Authorization: Bearer` header (RFC 6750), an access token or an API key. Headers do
 * not show from where a request comes: for API keys that are limited to networks say so with `clientAddress`.
 *
 * @throws TypeError for invalid arguments, and nothing else
 */
export async function authenticateRequest(
  verifier: Verifier,
  headers: RequestHeaders,
  options: VerifyOptions = {},
): Promise<HttpVerdict> {
  requireVerifier('authenticateRequest', verifier);
  validateVerifyOptions(options);
  // A request, of fetch or of Node, has no authorization header of its own: each call would be refused.
  if (!isRecord(headers) || isRecord((headers as { headers?: unknown }).headers))
    throwFaults('authenticateRequest', ['the second argument must be the headers of the request']);
  return authenticate(verifier, headers, () => options);
}

async function authenticate(
  verifier: Verifier,
  headers: RequestHeaders,
  optionsOf: (token: string) => VerifyOptions,
): Promise<HttpVerdict> {
  try {
    const token = bearerTokenOf(authorizationOf(headers));
    if (token === null) return { ok: false, refusal: CREDENTIALS_MISSING };
    return { ok: true, caller: await verifier.verify(token, optionsOf(token)) };
  } catch (error) {
    return { ok: false, refusal: httpRefusalOf(error) };
  }
}

/**
 * A middleware for Express and Connect that sets `request.caller`.
 *
 * @throws TypeError for invalid arguments
 */
export function requireToken(verifier: Verifier, requirements: Requirements = {}) {
  requireVerifier('requireToken', verifier);
  validateRequirements(requirements);
  return (request: NodeRequest, response: NodeResponse, next: () => void): void => {
    // Later a TypeError would have nobody to catch it.
    if (
      !isRecord((request as NodeRequest | undefined)?.headers) ||
      !hasMethods(response, 'setHeader', 'end') ||
      typeof next !== 'function'
    )
      throwFaults('requireToken', [
        'the middleware must be called with request, response and next; for Fastify use requireTokenHook',
      ]);
    const optionsOf = (token: string) =>
      optionsFor(token, requirements, () => request.ip ?? request.socket?.remoteAddress);
    void authenticate(verifier, headersOf(request), optionsOf).then((verdict) => {
      if (verdict.ok) {
        request.caller = verdict.caller;
        next();
        return;
      }
      const { refusal } = verdict;
      // Something else has answered meanwhile, such as a time limit of the program.
      if (response.headersSent === true) return;
      response.statusCode = refusal.status;
      for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
      response.end(refusal.body);
    });
  };
}

/**
 * A hook for Fastify (`onRequest` or `preHandler`) that sets `request.caller`.
 *
 * @throws TypeError for invalid arguments
 */
export function requireTokenHook(verifier: Verifier, requirements: Requirements = {}) {
  requireVerifier('requireTokenHook', verifier);
  validateRequirements(requirements);
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    if (
      !isRecord((request as FastifyRequest | undefined)?.raw) ||
      !hasMethods(reply, 'code', 'headers', 'send')
    )
      throwFaults('requireTokenHook', ['the hook is for Fastify; for Express use requireToken']);
    const { raw } = request;
    const optionsOf = (token: string) =>
      optionsFor(token, requirements, () => request.ip ?? raw.socket?.remoteAddress);
    const verdict = await authenticate(verifier, headersOf(raw), optionsOf);
    if (verdict.ok) {
      request.caller = verdict.caller;
      return undefined;
    }
    const { refusal } = verdict;
    reply.code(refusal.status);
    reply.headers({ ...refusal.headers });
    reply.send(refusal.body);
    // Fastify calls the handler unless the hook returns the reply.
    return reply;
  };
}

const CREDENTIALS_MISSING = refusal(
  401,
  'CREDENTIALS_MISSING',
  "send the access token as 'Authorization: Bearer <token>'",
  {
    'www-authenticate': 'Bearer',
  },
);

function httpRefusalOf(error: unknown): HttpRefusal {
  if (!(error instanceof PosternError)) return refusal(500, 'INTERNAL', 'internal error', {});
  const { code, reason, message, requirement } = error;
  if (code === status.UNAUTHENTICATED) {
    const isStepUp = reason === 'STEP_UP_REQUIRED';
    return refusal(401, reason ?? 'UNAUTHENTICATED', message, {
      'www-authenticate': bearerChallenge({
        error: isStepUp ? 'insufficient_user_authentication' : 'invalid_token',
        error_description: message.replace(/["\\]/g, "'"),
        ...(isStepUp && requirement !== null && stepUpParameters(requirement)),
      }),
    });
  }
  if (code === status.PERMISSION_DENIED) {
    return refusal(403, reason ?? 'PERMISSION_DENIED', message, {
      'www-authenticate': 'Bearer error="insufficient_scope"',
    });
  }
  if (code === status.UNAVAILABLE) {
    return refusal(503, reason ?? 'UNAVAILABLE', message, {
      'retry-after': String(Math.ceil((error.retryDelayMs ?? 1_000) / 1000)),
    });
  }
  return refusal(500, 'INTERNAL', 'internal error', {});
}

/** RFC 6750 section 3, RFC 9470 section 3. */
function bearerChallenge(parameters: Readonly<Record<string, string>>): string {
  const all = Object.entries(parameters).map(([name, value]) => `${name}="${value}"`);
  return `Bearer ${all.join(', ')}`;
}

function refusal(
  code: HttpRefusal['status'],
  error: string,
  message: string,
  headers: Record<string, string>,
): HttpRefusal {
  return {
    status: code,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: JSON.stringify({ error, message }),
  };
}

/** With every value of a repeated header: `headers` has only the first, and another program could read the other. */
function headersOf({ headers, headersDistinct, rawHeaders }: NodeRequest): RequestHeaders {
  if (headersDistinct || !rawHeaders) return headersDistinct ?? headers;
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization',
  );
  return { authorization: values };
}

function authorizationOf(headers: RequestHeaders): string[] {
  if (typeof headers.get === 'function') {
    const value = (headers as { get(name: string): unknown }).get('authorization');
    if (typeof value === 'string') return [value];
    // A Map, or the request of Express, has undefined without the header. The metadata of gRPC has a list.
    return Array.isArray(value) ? value.map(String) : [];
  }
  const values = Object.entries(headers as Record<string, string | readonly string[] | undefined>)
    .filter(([name]) => name.toLowerCase() === 'authorization')
    .flatMap(([, value]) => value ?? []);
  return values;
}
