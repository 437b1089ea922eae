import type { IncomingMessage } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';

/** Why a request is not for this listener: the answer's status, and one line that says what to do. */
export interface HostFault {
  /** 421: another host (RFC 9110 section 15.5.20). 400: none that can be read (RFC 9112 section 3.2). */
  readonly status: 400 | 421;
  readonly description: string;
}

/** Judges the host that a request is for; null where it is the listener's. */
export type HostCheck = (request: Pick<IncomingMessage, 'url' | 'rawHeaders'>) => HostFault | null;

/** The host names of a listener, in lower case. */
export interface HostNames {
  readonly names: ReadonlySet<string>;
  /** Those of its certificate, which may begin with `*.`. They change with the certificate. */
  readonly certificateNames: () => readonly string[];
}

const AUTHORITY = /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d{0,5})?$/i;
const MAX_NAME_LENGTH = 253;
const MAX_REMEMBERED = 100;
const UNREADABLE: HostFault = { status: 400, description: 'send one host, with or without a port' };

/**
 * Stops DNS rebinding: a page lets the name of its own host resolve to the address of Postern, and is the same origin as
 * Postern to its browser from then on, whatever the browser says of origins and sites. The name in `host` is what the page
 * cannot change.
 *
 * An IP address is no name, so none is refused. Ports are not compared, because proxies and port forwarding change them. A
 * request without `host` comes from no browser.
 */
export function hostCheck({ names, certificateNames }: HostNames): HostCheck {
  // Nearly all requests have the same few hosts. Those of the certificate are left out, because they can change.
  const accepted = new Set<string>();
  return (request) => {
    const authority = authorityOf(request);
    if (authority === null || accepted.has(authority)) return null;
    const [, host = ''] = AUTHORITY.exec(authority) ?? [];
    // The last dot of an absolute name is no part of it.
    const name = host.toLowerCase().replace(/\.$/, '');
    if (name === '' || name.length > MAX_NAME_LENGTH) return UNREADABLE;
    if (names.has(name) || isLocalhost(name) || isIpAddress(name)) {
      if (accepted.size < MAX_REMEMBERED) accepted.add(authority);
      return null;
    }
    if (certificateNames().some((pattern) => matches(name, pattern))) return null;
    return {
      status: 421,
      description: `${name} is not a host name of this listener; if it should be, add it to POSTERN_HTTP_HOSTS`,
    };
  };
}

/** For a unix socket: clients invent a host for their URLs. A browser comes only by a proxy, which has the names of its own. */
export const anyHost: HostCheck = () => null;

/** The host with the port, as it was sent; null without one, and empty for several. */
function authorityOf({ url = '', rawHeaders }: Pick<IncomingMessage, 'url' | 'rawHeaders'>): string | null {
  let sent: string | null = null;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (name.length !== 4 || (name !== 'Host' && name.toLowerCase() !== 'host')) continue;
    if (sent !== null) return '';
    sent = rawHeaders[index + 1] ?? '';
  }
  if (url.startsWith('/')) return sent;
  // The host of a whole URL replaces that of the header (RFC 9112 section 3.2.2).
  const [, ofUrl] = /^https?:\/\/([^/?#]*)/i.exec(url) ?? [];
  return ofUrl ?? sent;
}

/** Browsers resolve these names by themselves, to this machine (RFC 6761 section 6.3). */
function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

function isIpAddress(name: string): boolean {
  return name.startsWith('[') ? isIPv6(name.slice(1, -1)) : isIPv4(name);
}

/** `*` stands for one label (RFC 9525 section 6.3). */
function matches(name: string, pattern: string): boolean {
  if (!pattern.startsWith('*.')) return name === pattern;
  const dot = name.indexOf('.');
  return dot > 0 && name.slice(dot) === pattern.slice(1);
}
