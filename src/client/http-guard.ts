import { status } from '@grpc/grpc-js';

import type { VerifiedClaims } from '../domain/claims/claims.ts';
import { isRecord, requireVerifier, throwFaults } from './argument-checks.ts';
import { bearerTokenOf } from './bearer-token.ts';
import { PosternError } from './postern-error.ts';
import { type Requirements, validateRequirements } from './access-rules.ts';
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
  caller?: VerifiedClaims;
}
interface NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/** The same for Fastify. */
interface FastifyRequest {
  readonly raw: NodeRequest;
  caller?: VerifiedClaims;
}
interface FastifyReply {
  code(status: number): unknown;
  headers(values: Record<string, string>): unknown;
  send(body: string): unknown;
}

/**
 * Authenticates an HTTP request by its `Authorization: Bearer` header (RFC 6750).
 *
 * @throws TypeError for invalid arguments, and nothing else
 */
export async function authenticateRequest(
  verifier: Verifier,
  headers: RequestHeaders,
  requirements: Requirements = {},
): Promise<HttpVerdict> {
  requireVerifier('authenticateRequest', verifier);
  validateRequirements(requirements);
  if (!isRecord(headers))
    throwFaults('authenticateRequest', ['the second argument must be the headers of the request']);
  try {
    const token = bearerTokenOf(authorizationOf(headers));
    if (token === null) return { ok: false, refusal: CREDENTIALS_MISSING };
    return { ok: true, caller: await verifier.verify(token, requirements) };
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
    void authenticateRequest(verifier, headersOf(request), requirements).then((verdict) => {
      if (verdict.ok) {
        request.caller = verdict.caller;
        next();
        return;
      }
      const { refusal } = verdict;
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
    const verdict = await authenticateRequest(verifier, headersOf(request.raw), requirements);
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
  const { code, reason, message } = error;
  if (code === status.UNAUTHENTICATED) {
    return refusal(401, reason ?? 'UNAUTHENTICATED', message, {
      'www-authenticate': `Bearer error="invalid_token", error_description="${message.replace(/["\\]/g, "'")}"`,
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

const headersOf = ({ headers, headersDistinct }: NodeRequest): RequestHeaders => headersDistinct ?? headers;

function authorizationOf(headers: RequestHeaders): string[] {
  if (typeof headers.get === 'function') {
    const value = (headers as { get(name: string): string | null }).get('authorization');
    return value === null ? [] : [value];
  }
  const values = Object.entries(headers as Record<string, string | readonly string[] | undefined>)
    .filter(([name]) => name.toLowerCase() === 'authorization')
    .flatMap(([, value]) => value ?? []);
  return values;
}
