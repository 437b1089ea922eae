/**
 * The cookie with the refresh token of a page. Browsers accept the prefix `__Host-` only with `Secure`, the path `/` and
 * without a domain (RFC 6265bis section 4.1.3.2), so that no neighbour of the host can set it.
 */
const NAME = '__Host-postern';
const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Strict';

/** The value of `set-cookie` that stores a refresh token until it expires unused. */
export function sessionCookie(refreshToken: string, maxAgeSeconds: number): string {
  return `${NAME}=${refreshToken}; Max-Age=${maxAgeSeconds}; ${ATTRIBUTES}`;
}

/** The value of `set-cookie` that deletes the cookie. */
export const NO_SESSION_COOKIE = `${NAME}=; Max-Age=0; ${ATTRIBUTES}`;

/** The refresh token in a `cookie` header; null without one, or with several, which no browser sends. */
export function refreshTokenOf(cookie: string | undefined): string | null {
  const values = (cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${NAME}=`))
    .map((pair) => pair.slice(NAME.length + 1));
  const [value = ''] = values;
  return values.length === 1 && value !== '' ? value : null;
}
