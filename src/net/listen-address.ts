import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Where a server accepts calls. An IPv6 `host` stands without brackets; port 0 lets the system choose. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** The kernel's `sun_path` holds 108 bytes with its closing NUL; a longer path would be cut or refused at bind. */
const MAX_SOCKET_PATH_BYTES = 107;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH` or `unix:///ABSOLUTE/PATH`; null for anything else. */
export function parseListenAddress(text: string): ListenAddress | null {
  if (text.startsWith('unix:')) return parseSocketPath(text.slice('unix:'.length));
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text);
  if (match === null) return null;
  const [, ipv6, name, portText] = match;
  const port = Number(portText);
  if (port > 65_535) return null;
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { kind: 'tcp', host: ipv6, port } : null;
  return name !== undefined && isHost(name) ? { kind: 'tcp', host: name, port } : null;
}

/** The text that `parseListenAddress` reads back as the same address. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * Whether what is sent to this address stays on the machine. A name other than `localhost` does not count, whatever
 * it resolves to now: the answer must not change with the resolver's.
 */
export function staysOnThisMachine(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  if (isIPv4(address.host)) return loopback.check(address.host, 'ipv4');
  if (isIPv6(address.host)) return loopback.check(address.host, 'ipv6');
  return address.host.toLowerCase() === 'localhost';
}

/** The same of an http or https URL. */
export function leadsToThisMachine({ hostname }: URL): boolean {
  return staysOnThisMachine({ kind: 'tcp', host: hostname.replace(/^\[|\]$/g, ''), port: 0 });
}

function parseSocketPath(rest: string): ListenAddress | null {
  const path = rest.startsWith('///') ? rest.slice(2) : rest;
  if (path === '' || path.startsWith('//') || path.includes('\0')) return null;
  return Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES ? { kind: 'unix', path } : null;
}

function isHost(name: string): boolean {
  if (isIPv4(name)) return true;
  const labels = name.split('.');
  const everyLabelIsFit = labels.every((label) =>
    /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label),
  );
  // A name whose last label is a number is a mistyped IPv4 address, and some resolvers would read it as one.
  return name.length <= 253 && everyLabelIsFit && !/^\d+$/.test(labels.at(-1) ?? '');
}
