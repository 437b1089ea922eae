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

/**
 * The refresh tokens in a `cookie` header. There can be two: a program on another port of the host can set a cookie of the
 * same name with `Partitioned`, which browsers keep and send beside the other.
 */
export function refreshTokensOf(cookie: string | undefined): readonly string[] {
  return (cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${NAME}=`))
    .map((pair) => pair.slice(NAME.length + 1))
    .filter((value) => value !== '');
}
