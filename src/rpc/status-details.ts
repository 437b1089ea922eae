import { BadRequest, ErrorInfo, RetryInfo } from '../generated/google/rpc/error_details.ts';
import type { Any } from '../generated/google/protobuf/any.ts';
import { Status } from '../generated/google/rpc/status.ts';
import type { RpcStatus } from './rpc-status.ts';

/**
 * Encodes a status as a `google.rpc.Status` message with details, for `grpc-status-details-bin`.
 *
 * @returns null for a status without a reason, which has no details
 */
export function encodeStatusDetails(status: RpcStatus): Buffer | null {
  const details = statusDetails(status);
  if (details.length === 0) return null;
  return Buffer.from(Status.encode({ code: status.code, message: status.message, details }).finish());
}

/** The details of a status: its reason, when to retry, and which fields are invalid. None for a status without a reason. */
export function statusDetails(status: RpcStatus): Any[] {
  if (!status.reason) return [];
  const details = [
    packed('google.rpc.ErrorInfo', ErrorInfo, {
      reason: status.reason,
      domain: 'postern',
      metadata: { ...status.metadata },
    }),
  ];
  if (status.retryAfterMs !== undefined) {
    const seconds = Math.floor(status.retryAfterMs / 1000);
    const nanos = Math.round((status.retryAfterMs - seconds * 1000) * 1e6);
    details.push(packed('google.rpc.RetryInfo', RetryInfo, { retryDelay: { seconds, nanos } }));
  }
  if (status.violations) {
    const fieldViolations = status.violations.map(({ field, description }) => ({
      field,
      description,
      reason: '',
      localizedMessage: undefined,
    }));
    details.push(packed('google.rpc.BadRequest', BadRequest, { fieldViolations }));
  }
  return details;
}

function packed<Message>(
  name: string,
  codec: { encode(message: Message): { finish(): Uint8Array } },
  message: Message,
): Any {
  return { typeUrl: `type.googleapis.com/${name}`, value: Buffer.from(codec.encode(message).finish()) };
}
