import { forwardedIp } from './forwarded-ip.ts';

/**
 * The client that `x-forwarded-for` shows to a caller that has checked that its peer is a trusted proxy. Each proxy appends
 * the address of its own peer, and whoever sends the first request can write anything before that. So the list is read from
 * the right, and the first address that is not itself a trusted proxy is the client. If all are, it is the first of the list.
 *
 * @param headers the occurrences of the header, in the order of the request
 * @returns null without the header, and when an entry that has to be read is not an address
 */
export function forwardedClient(
  headers: readonly string[],
  isTrustedProxy: (address: string) => boolean,
): string | null {
  const entries = headers.flatMap((header) => header.split(',')).map((entry) => entry.trim());
  let client: string | null = null;
  for (const entry of entries.reverse()) {
    client = forwardedIp(entry);
    if (client === null || !isTrustedProxy(client)) return client;
  }
  return client;
}
