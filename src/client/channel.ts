import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';

import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';

import { isName, isPlainObject, isRecord, throwFaults, unknownMembers } from './argument-checks.ts';
import { decodeText } from '../domain/decode-text.ts';
import { parseListenAddress, isLocalAddress } from '../net/listen-address.ts';

/** The address of a Postern service or sidecar, and how to connect to it. */
export interface Upstream {
  /** `host:port`, `dns:///name:port`, `ipv4:192.0.2.1:50051,192.0.2.2:50051` or `unix:PATH`. All addresses are used. */
  readonly address: string;
  /** Absent: plaintext, for loopback and unix sockets. `{}`: TLS with the certificate authorities of the system. */
  readonly tls?: UpstreamTls;
  /** Allows plaintext to another machine, for a proxy in between that encrypts. */
  readonly insecure?: boolean;
}

/** The files are read again for every connection: renewed certificates need no restart. */
interface UpstreamTls {
  /** The certificate authorities to trust, a PEM file. */
  readonly caFile?: string;
  /** The client's certificate and key for mutual TLS, PEM files. */
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** Uses the addresses in turn, so that a retry goes to another instance. */
const serviceConfig = { loadBalancingConfig: [{ round_robin: {} }] };

/**
 * Keepalive detects dead connections within seconds, and reconnecting has a short backoff. Service configuration from DNS
 * TXT records is disabled.
 */
const connectionOptions: ChannelOptions = {
  'grpc.service_config': JSON.stringify(serviceConfig),
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.service_config_disable_resolution': 1,
};

/**
 * grpc-js goes through the proxy that `http_proxy` or `https_proxy` names, even to 127.0.0.1. In plaintext passwords and
 * secrets would leave this machine that way, and the proxy would choose the keys that are trusted.
 */
export function channelOptions({ address, tls }: Upstream): ChannelOptions {
  return tls && !isLocalTarget(address)
    ? connectionOptions
    : { ...connectionOptions, 'grpc.enable_http_proxy': 0 };
}

/**
 * @throws TypeError for members of the wrong form, for plaintext to another machine without `insecure`, which would expose passwords and tokens, and for
 *   a certificate without a key or a key without a certificate
 * @throws Error when the files cannot be read, or the key does not match the certificate
 */
export function channelCredentials({ address, tls, insecure = false }: Upstream): ChannelCredentials {
  throwFaults('the connection to Postern', securityFaults(tls, insecure));
  if (!tls) {
    if (insecure || isLocalTarget(address)) return credentials.createInsecure();
    throw new TypeError(
      `the connection to ${address} would leave this machine in plaintext; set tls, or insecure: true if a proxy in between encrypts it`,
    );
  }
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    throw new TypeError('tls.certFile and tls.keyFile go together; set both or neither');
  }
  return credentials.createFromSecureContext(renewingContext(tls));
}

/** The names of the options of an `Upstream`. */
export const UPSTREAM_MEMBERS: readonly string[] = ['address', 'tls', 'insecure'];

/** What is wrong with an upstream, apart from what `channelCredentials` checks; `name` is that of the argument. */
export function upstreamFaults(upstream: unknown, name: string): string[] {
  if (!isPlainObject(upstream)) return [`${name} must be an object, { address: "host:port" }`];
  return [
    ...unknownMembers(upstream, UPSTREAM_MEMBERS).map((member) => `${name}.${member} is not a known option`),
    ...addressFaults(upstream['address']).map((fault) => `${name}.${fault}`),
  ];
}

/** What is wrong with the address of an upstream. */
export function addressFaults(address: unknown): string[] {
  if (!isName(address)) return ['address is missing'];
  if (isTarget(address)) return [];
  return ['address must be "host:port", "dns:///name:port", "ipv4:a:port,b:port" or "unix:/path"'];
}

function securityFaults(tls: unknown, insecure: unknown): string[] {
  if (typeof insecure !== 'boolean') return ['insecure must be true or false'];
  if (tls === undefined) return [];
  if (!isRecord(tls)) return ['tls must be an object, { caFile, certFile, keyFile }'];
  // With a misspelt caFile, every certificate authority of the system would be trusted.
  return unknownMembers(tls, ['caFile', 'certFile', 'keyFile']).map(
    (name) => `tls.${name} is not a known option`,
  );
}

/**
 * A TLS context that follows its files. Node reads the property `context` once per connection, and this one then reads
 * the files again. While they are unusable (a key is written before its certificate, say) the previous context stays.
 */
function renewingContext(tls: UpstreamTls): SecureContext {
  let pems = readAll(tls);
  let latest = contextOf(pems);
  const renew = () => {
    try {
      const current = readAll(tls);
      if (current.every((pem, index) => pem === pems[index])) return;
      latest = contextOf(current);
      pems = current;
    } catch {
      // If the previous certificates are no longer valid, the handshake fails and reports it.
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
  return [caFile, certFile, keyFile].map((path) =>
    path === undefined ? path : decodeText(readFileSync(path)),
  );
}

function contextOf([ca, cert, key]: PemTexts): SecureContext {
  return createSecureContext({ minVersion: 'TLSv1.2', ca, cert, key });
}

/**
 * Whether a gRPC target is complete and can be parsed. Without a port grpc-js silently uses 443, and a target that it
 * cannot parse it retries forever.
 */
export function isTarget(text: string): boolean {
  const [, scheme, rest = ''] = /^(dns|ipv4|ipv6):(.*)$/.exec(text) ?? [];
  if (scheme === undefined)
    return hasNamedPort(text) || (text.startsWith('unix:') && parseListenAddress(text) !== null);
  if (scheme === 'dns') return hasNamedPort(rest.replace(/^\/\/[^/]*\//, ''));
  return rest
    .split(',')
    .every(
      (address) => hasPort(address) && isIP(address.replace(/:\d+$|[[\]]/g, '')) === Number(scheme.at(-1)),
    );
}

/** A DNS name may contain an underscore; a listen address may not. */
const hasNamedPort = (text: string) => hasPort(text.replaceAll('_', '-'));

function hasPort(text: string): boolean {
  const address = parseListenAddress(text);
  return address?.kind === 'tcp' && address.port > 0;
}

/** Whether every address of a gRPC target is on this machine. */
export function isLocalTarget(target: string): boolean {
  const addresses = target.replace(/^dns:(\/\/[^/]*\/)?|^ipv[46]:/, '').split(',');
  return addresses.every((text) => {
    const address = parseListenAddress(text);
    return address !== null && isLocalAddress(address);
  });
}
