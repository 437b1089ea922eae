import type { ServerOptions } from '@grpc/grpc-js';

/** Bytes of one request after decompression. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** RFC 9113 leaves the limit to the server; a bearer token of 8 KiB and its company fit. */
export const MAX_METADATA_BYTES = 16 * 1024;
/** The same as clients are told it: RFC 9113 (6.5.2) counts 32 bytes more for each field, of which Node takes 128. */
export const MAX_HEADER_LIST_BYTES = MAX_METADATA_BYTES + 128 * 32;

const MINUTE_MS = 60_000;

/** Connections at once where no setting says otherwise. */
export const MAX_CONNECTIONS = 10_000;

/** How long the server waits for the request of a call that was opened (N05). */
export const REQUEST_LIMIT_MS = 5_000;
/** How long the answer to a call may wait for its reader; then its stream is reset. */
export const UNREAD_LIMIT_MS = 10_000;

/** How many streams may be open at once. */
export interface StreamLimits {
  readonly perConnection: number;
  /** Not for callers that share an address without being one: loopback, trusted proxies. */
  readonly perAddress: number;
  readonly perProcess: number;
}

/** Of callers without a credential: Health/Watch, reflection, and requests that are slow to come (N15). */
export const ANONYMOUS_STREAMS: StreamLimits = { perConnection: 32, perAddress: 256, perProcess: 1_024 };
/** WatchTrust, whose callers have shown who they are. Behind a proxy many may share one connection. */
export const WATCHING_STREAMS: StreamLimits = { perConnection: 256, perAddress: 1_024, perProcess: 4_096 };
/** After so long without a message an anonymous stream ends: whoever needs it opens it again. */
export const STREAM_IDLE_MS = 5 * MINUTE_MS;

/**
 * What one connection may take; grpc-js limits almost nothing by itself. Session memory is in MB, and Node refuses
 * new streams of a connection whose buffers are above it.
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
  'grpc.enable_channelz': 0,
};
