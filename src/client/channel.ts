import { readFileSync } from 'node:fs';

import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';

/** Where a Postern is and how to speak with it. */
export interface Upstream {
  /** `host:port`, `dns:///name:port` or `unix:PATH`. */
  readonly address: string;
  /** Absent: plaintext, for loopback and unix sockets. `{}`: TLS with the system's authorities. */
  readonly tls?: {
    /** A file with the authorities to believe, PEM. */
    readonly caFile?: string;
    /** Files with the client's certificate and key, PEM (mutual TLS). */
    readonly certFile?: string;
    readonly keyFile?: string;
  };
}

/** Keepalive finds dead connections within seconds, and a lost one is dialled again without a long back-off. */
export const channelOptions: ChannelOptions = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

export function channelCredentials({ tls }: Upstream): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  const read = (path: string | undefined) => (path === undefined ? null : readFileSync(path));
  return credentials.createSsl(read(tls.caFile), read(tls.keyFile), read(tls.certFile));
}
