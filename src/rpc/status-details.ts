import { BadRequest, ErrorInfo, RetryInfo } from '../generated/google/rpc/error_details.ts';
import { Status } from '../generated/google/rpc/status.ts';
import type { RpcStatus } from './rejection-status.ts';

/**
 * Encodes a status as a `google.rpc.Status` message with details, for `grpc-status-details-bin`.
 *
 * @returns null for a status without a reason, which has no details
 */
export function encodeStatusDetails(status: RpcStatus): Buffer | null {
  if (!status.reason) return null;
  const details = [
    packed('google.rpc.ErrorInfo', ErrorInfo, { reason: status.reason, domain: 'postern', metadata: {} }),
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
  return Buffer.from(Status.encode({ code: status.code, message: status.message, details }).finish());
}

function packed<Message>(
  name: string,
  codec: { encode(message: Message): { finish(): Uint8Array } },
  message: Message,
): { typeUrl: string; value: Buffer } {
  return { typeUrl: `type.googleapis.com/${name}`, value: Buffer.from(codec.encode(message).finish()) };
}
