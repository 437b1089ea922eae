import type { handleClientStreamingCall, ServerReadableStream } from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import { type Call, ServedCall } from './call.ts';
import { type CallContext, contextOf } from './call-context.ts';
import type { MethodRule } from './method-table.ts';
import { statusOfError } from './status-of-error.ts';

/**
 * Answers a stream of requests once, or throws `Rejected`; whatever else it throws is a fault of ours. Requests are
 * read from the caller as they are asked for. They end normally only when the caller has sent the last one: a call
 * that ends otherwise makes them throw `Rejected` `cancelled`, so that half of a stream never passes for all of it.
 */
export type ClientStreamHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  call: Call,
) => Promise<Response>;

/** Runs a handler of a request stream so that nothing it does can end the process. */
export function clientStream<Request, Response>(
  rule: Pick<MethodRule, 'deadlineMs'>,
  handler: (requests: AsyncIterable<Request>, call: ServedCall) => Response | Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call, callback) => {
    const context = contextOf(call.metadata);
    const served = new ServedCall(call, rule.deadlineMs, null);
    const fail = (error: unknown) => {
      if (!context.signal().aborted) context.end(statusOfError(error, context));
    };
    const { deadlineMs } = rule;
    const timer =
      deadlineMs === null
        ? undefined
        : setTimeout(() => fail(new Rejected({ kind: 'deadline-exceeded' })), deadlineMs);
    const run = async () => {
      const response = await handler(requestsOf(call, context), served);
      if (!context.signal().aborted) callback(null, response);
    };
    run()
      .catch(fail)
      .finally(() => clearTimeout(timer));
  };
}

async function* requestsOf<Request, Response>(
  call: ServerReadableStream<Request, Response>,
  context: CallContext,
): AsyncGenerator<Request, void, undefined> {
  const ended = context.signal();
  try {
    for await (const request of call as AsyncIterable<Request>) {
      if (ended.aborted) break;
      yield request;
    }
  } catch (error) {
    if (!ended.aborted) throw error;
  }
  if (ended.aborted) throw new Rejected({ kind: 'cancelled' });
}
