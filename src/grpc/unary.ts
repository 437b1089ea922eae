import type { handleUnaryCall, ServiceError } from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import { contextOf } from './attached-context.ts';
import { GrpcCall } from './grpc-call.ts';
import type { MethodRule } from '../rpc/method-table.ts';
import { statusOfError } from '../rpc/rejection-status.ts';
import { statusObject } from './status-object.ts';

/**
 * Runs a unary handler within its guard, or without where a unix socket is the credential. Whatever it throws becomes a status, so that it cannot end the process. A response after the
 * deadline is dropped. A handler that answers synchronously needs no timer.
 */
export function unary<Request, Response>(
  rule: Pick<MethodRule, 'deadlineMs' | 'openToUnixSockets'>,
  guarded: (request: Request, call: GrpcCall) => Response | Promise<Response>,
  unguarded: (request: Request, call: GrpcCall) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const context = contextOf(call.metadata);
    let answered = false;
    let timer: NodeJS.Timeout | undefined;

    const answer = (error: unknown, response?: Response) => {
      if (answered) return;
      answered = true;
      clearTimeout(timer);
      if (error === null) {
        callback(null, response);
        return;
      }
      callback(asServiceError(statusObject(statusOfError(error, context))));
    };

    try {
      const grpcCall = new GrpcCall(call, rule.deadlineMs);
      const isTrustedSocket = rule.openToUnixSockets === true && context.throughUnixSocket;
      const response = (isTrustedSocket ? unguarded : guarded)(call.request, grpcCall);
      if (!(response instanceof Promise)) {
        answer(null, response);
        return;
      }
      if (rule.deadlineMs !== null) {
        timer = setTimeout(() => answer(new Rejected({ kind: 'deadline-exceeded' })), rule.deadlineMs);
      }
      response.then((value) => answer(null, value), answer);
    } catch (error) {
      answer(error);
    }
  };
}

/** grpc-js requires an Error by type and reads a status from it. */
function asServiceError(status: Pick<ServiceError, 'code' | 'details' | 'metadata'>): ServiceError {
  return Object.assign(new Error(status.details), status);
}
