import { isIPv4, isIPv6 } from 'node:net';

import { isLoopback, normaliseIp } from './cidr.ts';
import { isHostName } from './host-name.ts';

export interface UnixListenAddress {
  readonly kind: 'unix';
  readonly path: string;
}

/** The address that a server listens on. An IPv6 `host` has no brackets; port 0 lets the system choose. */
export type ListenAddress =
  { readonly kind: 'tcp'; readonly host: string; readonly port: number } | UnixListenAddress;

/** The kernel's `sun_path` holds 108 bytes including the final NUL; a longer path would be truncated or refused by bind. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Parses `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH` or `unix:///ABSOLUTE/PATH`; null for anything else. */
export function parseListenAddress(text: string): ListenAddress | null {
  if (text.startsWith('unix:')) return parseSocketPath(text.slice('unix:'.length));
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text);
  if (match === null) return null;
  const [, ipv6, name, portText] = match;
  const port = Number(portText);
  if (port > 65_535) return null;
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { kind: 'tcp', host: ipv6, port } : null;
  return name !== undefined && (isIPv4(name) || isHostName(name)) ? { kind: 'tcp', host: name, port } : null;
}

/** The error of a listener whose host name does not resolve, in the form of Node's other errors of `listen`. */
export function unresolvedNameError(host: string, cause: Error): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? 'ENOTFOUND';
  return new Error(`listen ${code}: the name ${host} does not resolve to an address`, { cause });
}

/** The inverse of `parseListenAddress`. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * Whether traffic to this address stays on the machine. Of host names only `localhost` counts, whatever others resolve to:
 * the result must not depend on the resolver.
 */
export function isLocalAddress(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  const ip = normaliseIp(address.host);
  return ip === null ? address.host.toLowerCase() === 'localhost' : isLoopback(ip);
}

/** `isLocalAddress` for an http or https URL. */
export function isLocalUrl({ hostname }: URL): boolean {
  return isLocalAddress({ kind: 'tcp', host: hostname.replace(/^\[|\]$/g, ''), port: 0 });
}

function parseSocketPath(rest: string): ListenAddress | null {
  const path = rest.startsWith('///') ? rest.slice(2) : rest;
  if (path === '' || path.startsWith('//') || path.includes('\0')) return null;
  return Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES ? { kind: 'unix', path } : null;
}
