import type { IncomingHttpHeaders } from 'node:http';

/**
 * Whether a request comes from a page of this very origin. The cookie attribute `SameSite` is no such check: a page of
 * another port of the same host is the same site. Browsers without `sec-fetch-site` still send `origin` with a POST.
 *
 * @param origins those under which the console is reached through a proxy that changes `host`, as browsers write them
 */
export function isSameOrigin(headers: IncomingHttpHeaders, origins: ReadonlySet<string>): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = headers;
  if (origin === undefined || host === undefined) return false;
  return origins.has(origin) || origin === `http://${host}` || origin === `https://${host}`;
}
