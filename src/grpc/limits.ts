import type { ServerOptions } from '@grpc/grpc-js';

/** Bytes of one request after decompression. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

const MINUTE_MS = 60_000;

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
