/** What a page of another origin may send to an RPC, beyond what every page may. */
const ALLOWED_HEADERS = [
  'authorization',
  'content-type',
  'connect-protocol-version',
  'connect-timeout-ms',
  'grpc-timeout',
  'x-grpc-web',
  'x-user-agent',
  'x-request-id',
  'traceparent',
  'tracestate',
].join(', ');
/** What such a page may read of a response, beyond what every page may. Without it a script finds no details of a refusal. */
const EXPOSED_HEADERS = 'x-request-id, retry-after, grpc-status, grpc-message, grpc-status-details-bin';
/** The maximum that Chromium accepts. */
const PREFLIGHT_MAX_AGE_SECONDS = '7200';

/** Whether pages of this origin may call. The comparison is exact: origins are listed as browsers write them. */
export function isListedOrigin(allowed: ReadonlySet<string>, origin: string | undefined): origin is string {
  return origin !== undefined && allowed.has(origin);
}

/**
 * The headers of a response to a call. Credentials are never allowed: RPCs read no cookie, and the routes of the console,
 * which do, are for its own pages. An origin that is not listed gets none of these headers, so its browser shows the response
 * to nobody.
 */
export function responseHeaders(
  allowed: ReadonlySet<string>,
  origin: string | undefined,
): Record<string, string> {
  if (!isListedOrigin(allowed, origin)) return { vary: 'origin' };
  return {
    vary: 'origin',
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED_HEADERS,
  };
}

/** The headers of the response to the preflight of a listed origin. */
export function preflightHeaders(origin: string): Record<string, string> {
  return {
    vary: 'origin, access-control-request-method, access-control-request-headers',
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': ALLOWED_HEADERS,
    'access-control-max-age': PREFLIGHT_MAX_AGE_SECONDS,
  };
}
