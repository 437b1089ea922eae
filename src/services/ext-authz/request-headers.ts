import type { AttributeContext_HttpRequest } from '../../generated/envoy/service/auth/v3/attribute_context.ts';

/** The headers that a check reads. */
export interface RequestHeaders {
  /** Every `authorization` value, from both places and with the name in any case. */
  readonly authorization: readonly string[];
  /** The lower-case names of headers that the client sent although only Postern may set them. */
  readonly reserved: readonly string[];
}

/**
 * Reads both places in which Envoy sends headers: `headers`, or `header_map` with raw bytes where the filter has
 * `encode_raw_headers`. Values of the two are never merged, so that a second token always counts as a second one (E03).
 */
export function requestHeaders(http: AttributeContext_HttpRequest): RequestHeaders {
  const authorization: string[] = [];
  const reserved: string[] = [];
  const add = (key: string, values: readonly string[]) => {
    const name = key.toLowerCase();
    if (isReserved(name)) reserved.push(name);
    if (name === 'authorization') authorization.push(...values);
  };
  for (const [key, value] of Object.entries(http.headers)) add(key, [value]);
  for (const { key, value, rawValue } of http.headerMap?.headers ?? []) {
    // Latin-1 maps every byte to its own character. A token is ASCII, so any other text fails verification.
    const raw = rawValue.toString('latin1');
    add(key, value !== '' && raw !== '' ? [value, raw] : [value + raw]);
  }
  return { authorization, reserved };
}

/** `_` counts as `-`, because CGI and WSGI turn both into the same variable name. */
const RESERVED = /^x[-_]postern[-_]/;

function isReserved(name: string): boolean {
  return name.startsWith('x') && RESERVED.test(name);
}
