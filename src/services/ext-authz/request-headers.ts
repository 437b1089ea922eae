import type { AttributeContext_HttpRequest } from '../../generated/envoy/service/auth/v3/attribute_context.ts';

/** What an allowed or denied request depends on. */
export interface RequestHeaders {
  /** Every `authorization` value, wherever and in whatever case of its name it came. */
  readonly authorization: readonly string[];
  /** The names under which only we set headers, in lower case, as far as the client sent any. */
  readonly reserved: readonly string[];
}

/**
 * Reads both places in which Envoy tells of headers: `headers`, or `header_map` with raw bytes where the filter has
 * `encode_raw_headers`. Values are never merged across them, so that a second token is always seen as a second one (E03).
 */
export function requestHeaders(http: AttributeContext_HttpRequest): RequestHeaders {
  const authorization: string[] = [];
  const reserved: string[] = [];
  const take = (key: string, values: readonly string[]) => {
    const name = key.toLowerCase();
    if (isReserved(name)) reserved.push(name);
    if (name === 'authorization') authorization.push(...values);
  };
  for (const [key, value] of Object.entries(http.headers)) take(key, [value]);
  for (const { key, value, rawValue } of http.headerMap?.headers ?? []) {
    // Latin-1 keeps every byte apart; a token is ASCII, and anything else fails as one.
    const raw = rawValue.toString('latin1');
    take(key, value !== '' && raw !== '' ? [value, raw] : [value + raw]);
  }
  return { authorization, reserved };
}

/** `_` counts as `-`, since CGI and WSGI make one name of the two. */
const RESERVED = /^x[-_]postern[-_]/;

function isReserved(name: string): boolean {
  return name.startsWith('x') && RESERVED.test(name);
}
