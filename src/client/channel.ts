import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';

import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';

import { parseListenAddress, isLocalAddress } from '../net/listen-address.ts';

/** Where a Postern is and how to speak with it. */
export interface Upstream {
  /** `host:port`, `dns:///name:port`, `ipv4:192.0.2.1:50051,192.0.2.2:50051` or `unix:PATH`; all its addresses are used. */
  readonly address: string;
  /** Absent: plaintext, for loopback and unix sockets. `{}`: TLS with the system's authorities. */
  readonly tls?: UpstreamTls;
  /** Allows plaintext beyond this machine, where something in between encrypts. */
  readonly insecure?: boolean;
}

/** Files are read anew for every connection, so that renewed ones need no restart. */
interface UpstreamTls {
  /** A file with the authorities to believe, PEM. */
  readonly caFile?: string;
  /** Files with the client's certificate and key, PEM (mutual TLS). */
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** Takes the addresses in turn, so that a call that one instance refused is repeated at another. */
const serviceConfig = { loadBalancingConfig: [{ round_robin: {} }] };

/**
 * Keepalive finds dead connections within seconds, and a lost one is dialled again without a long back-off. What a DNS
 * record says of the service's configuration is not looked at.
 */
export const channelOptions: ChannelOptions = {
  'grpc.service_config': JSON.stringify(serviceConfig),
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.service_config_disable_resolution': 1,
};

/**
 * @throws TypeError for plaintext beyond this machine that nobody allowed: passwords and tokens would go in the clear
 * @throws Error when the files cannot be read, or do not belong together
 */
export function channelCredentials({ address, tls, insecure = false }: Upstream): ChannelCredentials {
  if (!tls) {
    if (insecure || isLocalTarget(address)) return credentials.createInsecure();
    throw new TypeError(
      `the connection to ${address} would leave this machine in plaintext; set tls, or insecure: true if a proxy between encrypts it`,
    );
  }
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    throw new TypeError('tls.certFile and tls.keyFile go together; set both or neither');
  }
  return credentials.createFromSecureContext(renewingContext(tls));
}

/**
 * A context that is what its files are now. Node asks a context for its inside once for each connection, and that is when
 * this one looks. Files of no use (a key that is written before its certificate, say) leave it as it was.
 */
function renewingContext(tls: UpstreamTls): SecureContext {
  let texts = readAll(tls);
  let latest = contextOf(texts);
  const renew = () => {
    try {
      const now = readAll(tls);
      if (now.every((text, index) => text === texts[index])) return;
      latest = contextOf(now);
      texts = now;
    } catch {
      // The handshake tells, should the old ones be good no more.
    }
  };
  return Object.create(latest, {
    context: {
      get() {
        renew();
        return latest.context as unknown;
      },
    },
  }) as SecureContext;
}

type PemTexts = readonly (string | undefined)[];

function readAll({ caFile, certFile, keyFile }: UpstreamTls): PemTexts {
  return [caFile, certFile, keyFile].map((path) => (path === undefined ? path : readFileSync(path, 'utf8')));
}

function contextOf([ca, cert, key]: PemTexts): SecureContext {
  return createSecureContext({ minVersion: 'TLSv1.2', ca, cert, key });
}

/**
 * Whether a gRPC target is written out: a port that is left out would silently be 443, and what grpc-js cannot read it
 * tries again for ever.
 */
export function isTarget(text: string): boolean {
  const [, scheme, rest = ''] = /^(dns|ipv4|ipv6):(.*)$/.exec(text) ?? [];
  if (scheme === undefined)
    return hasPort(text) || (text.startsWith('unix:') && parseListenAddress(text) !== null);
  // A name in DNS may have an underscore, which a listen address has not.
  if (scheme === 'dns') return hasPort(rest.replace(/^\/\/[^/]*\//, '').replaceAll('_', '-'));
  return rest
    .split(',')
    .every(
      (address) => hasPort(address) && isIP(address.replace(/:\d+$|[[\]]/g, '')) === Number(scheme.at(-1)),
    );
}

function hasPort(text: string): boolean {
  const address = parseListenAddress(text);
  return address?.kind === 'tcp' && address.port > 0;
}

/** Whether every address of a gRPC target is on this machine. */
export function isLocalTarget(target: string): boolean {
  const addresses = target.replace(/^dns:(\/\/[^/]*\/)?|^ipv[46]:/, '').split(',');
  return addresses.every((place) => {
    const address = parseListenAddress(place);
    return address !== null && isLocalAddress(address);
  });
}
