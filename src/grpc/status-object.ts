import { Metadata, type StatusObject } from '@grpc/grpc-js';

import type { RpcStatus } from '../rpc/rpc-status.ts';
import { encodeStatusDetails } from '../rpc/status-details.ts';

/** A status in the form of grpc-js, with its details in `grpc-status-details-bin`. */
export function statusObject(rpc: RpcStatus): StatusObject {
  const metadata = new Metadata();
  const details = encodeStatusDetails(rpc);
  if (details) metadata.set('grpc-status-details-bin', details);
  // Both enums have the numbers of the gRPC status codes.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
  return { code: rpc.code, details: rpc.message, metadata };
}
