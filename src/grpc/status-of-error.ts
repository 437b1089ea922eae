import type { StatusObject } from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import type { CallContext } from './call-context.ts';
import { internalStatus, statusOf } from './status.ts';

/** The status of whatever a handler threw, and the reason for the log. What is not `Rejected` is a fault of ours. */
export function statusOfError(error: unknown, context: Pick<CallContext, 'cause' | 'reason'>): StatusObject {
  context.cause = error;
  if (!(error instanceof Rejected)) return internalStatus();
  const status = statusOf(error.rejection);
  context.reason = status.reason;
  return status;
}
