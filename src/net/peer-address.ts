import type { Socket } from 'node:net';

import { isLoopback, normaliseIp, sourceOf } from './cidr.ts';

/** The IP address in a peer as grpc-js names it (`192.0.2.1:4711`, `[2001:db8::1]:4711`); null for a unix socket. */
export function peerIp(peer: string): string | null {
  const match = /^\[?([^\]]*)\]?:\d+$/.exec(peer);
  return normaliseIp(match?.[1] ?? '');
}

/**
 * The address by which a peer is told from others. Null for unix sockets and loopback: whoever calls from this machine
 * stands for nobody in particular, be it a proxy or a tunnel (L10).
 */
export function peerAddress(peer: string): string | null {
  const address = peerIp(peer);
  return address === null || isLoopback(address) ? null : address;
}

/**
 * What the limits of one address count as one: IPv6 by /64. Null for callers on this machine and those behind a trusted
 * proxy, who share an address without being one (L10, L12).
 */
export function limitedSource(
  { remoteAddress }: Pick<Socket, 'remoteAddress'>,
  isTrustedProxy: (address: string) => boolean,
): string | null {
  const address = normaliseIp(remoteAddress ?? '');
  return address === null || isLoopback(address) || isTrustedProxy(address) ? null : sourceOf(address);
}
