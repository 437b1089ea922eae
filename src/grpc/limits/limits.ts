import type { ServerOptions } from '@grpc/grpc-js';

import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';

/** The maximum size of the headers of a call, bytes. A token of 8 KiB and other headers fit. RFC 9113 sets no limit. */
export const MAX_METADATA_BYTES = 16 * 1024;
/**
 * The same limit as SETTINGS_MAX_HEADER_LIST_SIZE, where each field counts 32 bytes more (RFC 9113, 6.5.2). Node allows
 * 128 fields.
 */
export const MAX_HEADER_LIST_BYTES = MAX_METADATA_BYTES + 128 * 32;

const MINUTE_MS = 60_000;

/** The maximum number of connections where no setting gives one. */
export const MAX_CONNECTIONS = 10_000;

/** How long the server waits for the request of a call that was opened (N05). */
export const REQUEST_LIMIT_MS = 5_000;
/** How long a response may stay unread; then its stream is reset. */
export const UNREAD_LIMIT_MS = 10_000;

/** The maximum numbers of open streams of one kind. */
export interface StreamLimits {
  readonly perConnection: number;
  /** Does not apply to loopback and trusted proxies, where many callers share an address. */
  readonly perAddress: number;
  readonly perProcess: number;
}

/** Streams of callers without a credential: Health/Watch, reflection, and calls whose request arrives slowly (N15). */
export const ANONYMOUS_STREAMS: StreamLimits = { perConnection: 32, perAddress: 256, perProcess: 1_024 };
/** WatchTrust streams, whose callers are authenticated. Behind a proxy many may share one connection. */
export const WATCHING_STREAMS: StreamLimits = { perConnection: 256, perAddress: 1_024, perProcess: 4_096 };
/** An anonymous stream ends after this time without a message. A client can open it again. */
export const STREAM_IDLE_MS = 5 * MINUTE_MS;

/**
 * The limits of one connection; grpc-js has almost none by default. Session memory is in MB: Node refuses new streams
 * of a connection whose buffers exceed it.
 */
export const connectionLimits: ServerOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_concurrent_streams': 256,
  'grpc-node.max_session_memory': 16,
  'grpc.max_connection_age_ms': 30 * MINUTE_MS,
  'grpc.max_connection_age_grace_ms': MINUTE_MS,
  'grpc.max_connection_idle_ms': 5 * MINUTE_MS,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};
