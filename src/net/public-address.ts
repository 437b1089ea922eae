import { isIP } from 'node:net';

import { networkMatcher, normaliseIp, parseNetwork, type Network } from './cidr.ts';

/** IPv4 ranges that are not the public internet (RFC 6890 and the IANA registry of special-purpose addresses). */
const SPECIAL_IPV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
];
/** All of public IPv6. What is outside, such as NAT64, unique local and link-local addresses, leads somewhere else. */
const GLOBAL_UNICAST = '2000::/3';
/** Ranges in it with another purpose: protocols such as Teredo, documentation, and 6to4, which contains an IPv4 address. */
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const networksOf = (ranges: readonly string[]): Network[] =>
  ranges.flatMap((range) => parseNetwork(range) ?? []);
const isGlobalUnicast = networkMatcher(networksOf([GLOBAL_UNICAST]));
const isSpecial = networkMatcher(networksOf([...SPECIAL_IPV4, ...SPECIAL_IPV6]));

/** Whether an IP address is one of the public internet. IPv4-mapped addresses are judged as IPv4; no text but an address is. */
export function isPublicAddress(text: string): boolean {
  const address = normaliseIp(text);
  if (address === null || isSpecial(address)) return false;
  return isIP(address) === 4 || isGlobalUnicast(address);
}
