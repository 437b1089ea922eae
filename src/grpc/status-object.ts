import { Metadata, type StatusObject } from '@grpc/grpc-js';

import type { RpcStatus } from '../rpc/rejection-status.ts';
import { encodeStatusDetails } from '../rpc/status-details.ts';

/** A status as grpc-js sends it, with its details in `grpc-status-details-bin`. */
export function statusObject(rpc: RpcStatus): StatusObject {
  const metadata = new Metadata();
  const details = encodeStatusDetails(rpc);
  if (details) metadata.set('grpc-status-details-bin', details);
  // The numbers are those of the same list.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
  return { code: rpc.code, details: rpc.message, metadata };
}
