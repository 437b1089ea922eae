import { formatListenAddress, isLocalAddress, type ListenAddress } from '../net/listen-address.ts';

/** Where a browser of this machine reaches the console by `localhost`: passkeys need a name, and IP addresses have none. */
const BY_LOCALHOST: ReadonlySet<string> = new Set(['127.0.0.1', '::1', '0.0.0.0', '::', 'localhost']);

/**
 * The URL of the console on this machine. Null where a browser cannot use it: on a unix socket, and in plaintext on the address
 * of a network, where browsers keep no cookie with `Secure`.
 */
export function consoleUrl(
  listener: ListenAddress,
  { isSecured }: { readonly isSecured: boolean },
): string | null {
  if (listener.kind === 'unix') return null;
  const scheme = isSecured ? 'https' : 'http';
  if (BY_LOCALHOST.has(listener.host.toLowerCase())) return `${scheme}://localhost:${listener.port}/console/`;
  if (!isSecured && !isLocalAddress(listener)) return null;
  return `${scheme}://${formatListenAddress(listener)}/console/`;
}
