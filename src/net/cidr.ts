import { BlockList, isIP } from 'node:net';

/**
 * An IP address without its zone. IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`, `::ffff:c000:201`) become IPv4.
 * Null for anything else.
 */
export function normaliseIp(text: string): string | null {
  const [address = ''] = text.split('%', 1);
  const version = isIP(address);
  if (version !== 6) return version === 4 ? address : null;
  const groups = groupsOf(address);
  return isMapped(groups) ? ipv4At(groups, 6) : address;
}

/**
 * Whether an address is a loopback address (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
 *
 * @param address as returned by `normaliseIp`
 */
export function isLoopback(address: string): boolean {
  return address.includes(':')
    ? startsWith(groupsOf(address), [0, 0, 0, 0, 0, 0, 0, 1])
    : address.startsWith('127.');
}

/**
 * The source that limits count by: the IPv4 address, the /64 of an IPv6 address (the least that a subscriber gets, RFC
 * 6177), or `local` for callers on this machine. An IPv4 address embedded in IPv6 counts as that IPv4 address. Otherwise
 * all of IPv4 would be one source behind NAT64 (RFC 6052 section 2.1), and with 6to4 the owner of one IPv4 address would
 * have 65,536 sources (RFC 3056 section 2). A translator with its own prefix (RFC 8215, RFC 6052 section 2.2) cannot be
 * distinguished from a subscriber and counts by /64, so list it in POSTERN_TRUSTED_PROXIES.
 */
export function sourceOf(address: string | null): string {
  if (address === null) return 'local';
  if (isIP(address) !== 6) return address;
  const groups = groupsOf(address);
  if (isMapped(groups) || isNat64(groups)) return ipv4At(groups, 6);
  if (groups[0] === 0x2002) return ipv4At(groups, 1);
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** A CIDR range (RFC 4632, RFC 4291 section 2.3). */
export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** Parses `192.0.2.0/24`, `2001:db8::/32` or one address; else null. A range of IPv4-mapped addresses becomes IPv4. */
export function parseNetwork(text: string): Network | null {
  const [, address = '', length] = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return null;
  const maxPrefix = version === 4 ? 32 : 128;
  const prefix = length === undefined ? maxPrefix : Number(length);
  if (prefix > maxPrefix) return null;
  const unmapped = normaliseIp(address) ?? address;
  if (version === 6 && unmapped !== address && prefix >= MAPPED_PREFIX)
    return { address: unmapped, prefix: prefix - MAPPED_PREFIX, family: 'ipv4' };
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** One text for each range: without bits beyond the prefix, and with all eight groups of an IPv6 address. */
export function canonicalNetwork({ address, prefix, family }: Network): string {
  const size = family === 'ipv4' ? 8 : 16;
  const parts = family === 'ipv4' ? address.split('.').map(Number) : groupsOf(address);
  const masked = parts.map((part, index) => {
    const free = size - Math.min(Math.max(prefix - index * size, 0), size);
    return (part >> free) << free;
  });
  const text = family === 'ipv4' ? masked.join('.') : masked.map((group) => group.toString(16)).join(':');
  return `${text}/${prefix}`;
}

/** Returns a function that tells whether an address, IPv4-mapped or not, is in one of the networks. */
export function networkMatcher(networks: readonly Network[]): (address: string) => boolean {
  const blockList = new BlockList();
  for (const { address, prefix, family } of networks) blockList.addSubnet(address, prefix, family);
  return (text) => {
    const address = normaliseIp(text);
    return address !== null && blockList.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  };
}

const MAPPED_PREFIX = 96;

/** The eight groups of an IPv6 address (RFC 4291 section 2.2); the last two may be written as an IPv4 address. */
function groupsOf(ipv6: string): readonly number[] {
  const [head = '', tail] = ipv6.split('::');
  const before = readGroups(head);
  const after = readGroups(tail ?? '');
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function readGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function ipv4At(groups: readonly number[], index: number): string {
  return groups
    .slice(index, index + 2)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join('.');
}

function isMapped(groups: readonly number[]): boolean {
  return startsWith(groups, [0, 0, 0, 0, 0, 0xffff]);
}

function isNat64(groups: readonly number[]): boolean {
  return startsWith(groups, [0x64, 0xff9b, 0, 0, 0, 0]);
}

function startsWith(groups: readonly number[], prefix: readonly number[]): boolean {
  return prefix.every((group, index) => groups[index] === group);
}
