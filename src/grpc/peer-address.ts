import { isIP } from 'node:net';

/**
 * The IP address in a peer as grpc-js names it (`192.0.2.1:4711`, `[2001:db8::1]:4711`, a socket's path). Null for unix
 * sockets and loopback: whoever calls from this machine stands for nobody in particular, be it a proxy or a tunnel (L10).
 */
export function peerAddress(peer: string): string | null {
  const match = /^\[?([^\]]*)\]?:\d+$/.exec(peer);
  const address = match?.[1]?.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '') ?? '';
  if (isIP(address) === 0 || address === '::1' || address.startsWith('127.')) return null;
  return address;
}
