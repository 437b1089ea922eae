import type { FieldViolation } from '../../domain/rejection.ts';
import type { RpcStatus } from '../../rpc/rpc-status.ts';
import { Code } from '../../rpc/status-code.ts';
import type { CallAnswer } from '../http-call.ts';

/**
 * The error codes of RFC 6749 section 5.2, RFC 7009 section 2.2.1, RFC 8707 section 2, and two of section 4.1.2.1. No RFC has one
 * for a second factor in the password grant: `mfa_required` is that of Auth0, which clients know.
 */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unsupported_token_type'
  | 'mfa_required'
  | 'temporarily_unavailable'
  | 'server_error';

/** The HTTP status (by default that of the error) and headers of a refusal. */
interface RefusalForm {
  readonly httpStatus?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is refused before it is a call. `description` is one line that says what to do. */
export class OAuthRefused extends Error {
  readonly error: OAuthErrorCode;
  readonly httpStatus: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    error: OAuthErrorCode,
    description: string,
    { httpStatus = error === 'invalid_client' ? 401 : 400, headers = {} }: RefusalForm = {},
  ) {
    super(description);
    this.name = 'OAuthRefused';
    this.error = error;
    this.httpStatus = httpStatus;
    this.headers = headers;
  }
}

/** A refusal as OAuth clients read it. */
export interface OAuthError {
  readonly error: OAuthErrorCode;
  readonly httpStatus: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The only mapping from the status of a call to an error of OAuth.
 *
 * @param credentialError what a refused credential means: that of the client, or the grant (a refresh token, a password)
 */
export function oauthErrorOf(
  { code, reason, violations = [] }: RpcStatus,
  credentialError: 'invalid_client' | 'invalid_grant',
): OAuthError {
  const isTooLarge = reason === 'MESSAGE_TOO_LARGE' || reason === 'METADATA_TOO_LARGE';
  if (isTooLarge) return { error: 'invalid_request', httpStatus: 413 };
  if (code === Code.INVALID_ARGUMENT)
    return { error: namesAudience(violations) ? 'invalid_target' : 'invalid_request', httpStatus: 400 };
  // Not 401, which clients take for a wrong password.
  if (reason === 'SECOND_FACTOR_REQUIRED') return { error: 'mfa_required', httpStatus: 403 };
  if (code === Code.UNAUTHENTICATED)
    return { error: credentialError, httpStatus: credentialError === 'invalid_client' ? 401 : 400 };
  if (code === Code.PERMISSION_DENIED) return { error: 'invalid_client', httpStatus: 403 };
  const temporary = TEMPORARY.get(code);
  return temporary === undefined
    ? { error: 'server_error', httpStatus: 500 }
    : { error: 'temporarily_unavailable', httpStatus: temporary };
}

/** The same for an exchange, in which nothing authenticates a client: what is refused is the tokens, or the request. */
export function exchangeErrorOf(
  status: RpcStatus,
  tokenError: 'invalid_request' | 'invalid_grant',
): OAuthError {
  const isRefused = status.code === Code.UNAUTHENTICATED || status.code === Code.PERMISSION_DENIED;
  if (isRefused) return { error: tokenError, httpStatus: 400 };
  // What was asked for does not fit into a token.
  if (status.code === Code.FAILED_PRECONDITION) return { error: 'invalid_request', httpStatus: 400 };
  return oauthErrorOf(status, 'invalid_grant');
}

/** The HTTP statuses of refusals after which the same request may succeed. */
const TEMPORARY: ReadonlyMap<Code, number> = new Map<Code, number>([
  [Code.RESOURCE_EXHAUSTED, 429],
  [Code.UNAVAILABLE, 503],
  [Code.DEADLINE_EXCEEDED, 504],
  [Code.CANCELLED, 499],
]);

function namesAudience(violations: readonly FieldViolation[]): boolean {
  return violations.some(({ field }) => field === 'audience');
}

/**
 * The answer to a refused request. `reason` is that of the gRPC contract, so that a log or a person can tell causes apart
 * that OAuth has one code for. `factors` is what a user can log in with, for `mfa_required`.
 *
 * @param options.hasDetail whether the message is also in `detail`, where clients of FastAPI look for it
 */
export function errorAnswer(
  { error, httpStatus, headers }: OAuthError,
  {
    message,
    reason,
    retryAfterMs,
    metadata,
  }: Pick<RpcStatus, 'message' | 'reason' | 'retryAfterMs' | 'metadata'>,
  code: Code,
  { hasDetail = false } = {},
): CallAnswer {
  const body = {
    error,
    error_description: descriptionText(message),
    ...(hasDetail && { detail: message }),
    ...(reason !== undefined && { reason }),
    ...(metadata?.['factors'] !== undefined && { factors: metadata['factors'].split(',') }),
  };
  const retryAfterSeconds = retryAfterMs === undefined ? null : Math.max(1, Math.ceil(retryAfterMs / 1000));
  return {
    status: httpStatus,
    headers: {
      ...JSON_HEADERS,
      ...headers,
      ...(retryAfterSeconds !== null && { 'retry-after': String(retryAfterSeconds) }),
    },
    body: JSON.stringify(body),
    code,
  };
}

/** RFC 6749 section 5.1: no cache may keep a response with tokens or other sensitive information. */
export const JSON_HEADERS = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  pragma: 'no-cache',
} as const;

/** The characters that RFC 6749 section 5.2 allows in `error_description`. */
function descriptionText(message: string): string {
  return message
    .slice(0, 1_024)
    .replaceAll('"', "'")
    .replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?');
}
