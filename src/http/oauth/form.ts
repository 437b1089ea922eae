import { OAuthRefused } from './oauth-error.ts';

/** The parameters of a request. One that was sent without a value counts as not sent (RFC 6749 section 3.2). */
export type Parameters = ReadonlyMap<string, string>;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads a body in `application/x-www-form-urlencoded`. `URLSearchParams` would accept broken percent-encoding and replace
 * invalid UTF-8, so that two different passwords could become one, and keep doubled parameters, of which two programs may
 * read different ones.
 *
 * @throws OAuthRefused `invalid_request`
 */
export function parseForm(body: Uint8Array): Parameters {
  const parameters = new Map<string, string>();
  const names = new Set<string>();
  for (const pair of decodeUtf8(body).split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = formDecode(equals < 0 ? pair : pair.slice(0, equals));
    if (names.has(name))
      throw new OAuthRefused('invalid_request', 'a parameter occurs twice; send each once');
    names.add(name);
    const value = equals < 0 ? '' : formDecode(pair.slice(equals + 1));
    if (value !== '') parameters.set(name, value);
  }
  return parameters;
}

/** @throws OAuthRefused `invalid_request` */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new OAuthRefused('invalid_request', 'the request is not UTF-8');
  }
}

/** Decodes a name or a value of a form. @throws OAuthRefused `invalid_request` */
export function formDecode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new OAuthRefused(
      'invalid_request',
      'the request has invalid percent-encoding, or encodes bytes that are not UTF-8',
    );
  }
}
