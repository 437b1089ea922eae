import type { handleClientStreamingCall, ServerReadableStream } from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import type { CallContext } from '../rpc/call-context.ts';
import { contextOf } from './attached-context.ts';
import { GrpcCall } from './grpc-call.ts';
import type { MethodRule } from '../rpc/method-table.ts';
import { statusOfError } from '../rpc/rejection-status.ts';

/** Runs a handler of a request stream. Whatever it throws becomes a status, so that it cannot end the process. */
export function clientStream<Request, Response>(
  rule: Pick<MethodRule, 'deadlineMs'>,
  handler: (requests: AsyncIterable<Request>, call: GrpcCall) => Response | Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call, callback) => {
    const context = contextOf(call.metadata);
    const grpcCall = new GrpcCall(call, rule.deadlineMs, null);
    const fail = (error: unknown) => {
      if (!context.signal().aborted) context.end(statusOfError(error, context));
    };
    const { deadlineMs } = rule;
    const timer =
      deadlineMs === null
        ? undefined
        : setTimeout(() => fail(new Rejected({ kind: 'deadline-exceeded' })), deadlineMs);
    const run = async () => {
      const response = await handler(requestsOf(call, context), grpcCall);
      if (!context.signal().aborted) callback(null, response);
    };
    run()
      .catch(fail)
      .finally(() => clearTimeout(timer));
  };
}

/** @throws Rejected `cancelled` when the call has ended, so that part of a stream never counts as all of it */
async function* requestsOf<Request, Response>(
  call: ServerReadableStream<Request, Response>,
  context: CallContext,
): AsyncGenerator<Request, void, undefined> {
  const signal = context.signal();
  try {
    for await (const request of call as AsyncIterable<Request>) {
      if (signal.aborted) break;
      yield request;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (signal.aborted) throw new Rejected({ kind: 'cancelled' });
}
