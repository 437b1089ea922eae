import { isIP } from 'node:net';

import { normaliseIp } from './cidr.ts';

/** `192.0.2.1:4711`, `[2001:db8::1]` or `[2001:db8::1]:4711`. */
const WITH_PORT = /^(?:([\d.]+):\d{1,5}|\[([^\]]+)\](?::\d{1,5})?)$/;

const MAX_LENGTH = 100;

/**
 * The IP address that a gateway reports of its client, as gateways write it: with a port, in brackets, or with the zone of
 * its own interface, which is meaningless elsewhere. Null for anything else. All notations of an address are one source.
 */
export function forwardedIp(text: string): string | null {
  if (text.length > MAX_LENGTH) return null;
  const [, ipv4, ipv6] = WITH_PORT.exec(text) ?? [];
  const address = ipv4 ?? ipv6 ?? text;
  // Only IPv6 has zones, and brackets are only for IPv6.
  const version = isIP(address);
  if (version === 0 || (ipv6 !== undefined && version !== 6)) return null;
  return normaliseIp(address);
}
