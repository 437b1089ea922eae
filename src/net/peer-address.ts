import type { Socket } from 'node:net';

import { isLoopback, normaliseIp, sourceOf } from './cidr.ts';

/** The IP address of a peer in the format of grpc-js (`192.0.2.1:4711`, `[2001:db8::1]:4711`); null for a unix socket. */
export function peerIp(peer: string): string | null {
  const match = /^\[?([^\]]*)\]?:\d+$/.exec(peer);
  return normaliseIp(match?.[1] ?? '');
}

/**
 * The address that identifies a peer. Null for unix sockets and loopback: a caller on this machine, such as a proxy or a
 * tunnel, may forward the calls of many (L10).
 */
export function peerAddress(peer: string): string | null {
  const address = peerIp(peer);
  return address === null ? null : callerAddress(address);
}

/** The address if it identifies a caller; null for loopback. */
export function callerAddress(address: string): string | null {
  return isLoopback(address) ? null : address;
}

/** The peer of a connection in the format of grpc-js, for the log. */
export function describePeer({
  remoteAddress,
  remotePort,
}: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  if (!remoteAddress) return 'unknown';
  return remotePort ? `${remoteAddress}:${remotePort}` : remoteAddress;
}

/**
 * The source that connection limits count by: IPv6 by /64. Null for callers on this machine and behind a trusted proxy,
 * since many callers share these addresses (L10, L12).
 */
export function limitedSource(
  { remoteAddress }: Pick<Socket, 'remoteAddress'>,
  isTrustedProxy: (address: string) => boolean,
): string | null {
  const address = normaliseIp(remoteAddress ?? '');
  return address === null || isLoopback(address) || isTrustedProxy(address) ? null : sourceOf(address);
}
