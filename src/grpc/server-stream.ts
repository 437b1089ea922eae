import type { handleServerStreamingCall, ServerWritableStream } from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import type { CallContext } from '../rpc/call-context.ts';
import type { ServerStreamHandler } from '../rpc/handlers.ts';
import { contextOf } from './attached-context.ts';
import { GrpcCall } from './grpc-call.ts';
import type { EncodedMessage } from '../rpc/encoded-message.ts';
import type { MethodRule } from '../rpc/method-table.ts';
import { statusOfError } from '../rpc/rejection-status.ts';

/** How long a reader may leave one message untaken: what it has not read is memory of ours. */
const READER_LIMIT_MS = 10_000;

/**
 * Runs a streaming handler so that nothing it does can end the process. One message at a time is handed to the
 * transport, so that a slow reader holds back its own stream and nothing else.
 *
 * @param admit throws `Rejected` for whom the method's rule does not let in
 */
export function serverStream<Request, Response>(
  rule: MethodRule,
  admit: (request: Request, call: GrpcCall) => void | Promise<void>,
  handler: ServerStreamHandler<Request, Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const context = contextOf(call.metadata);
    const grpcCall = Object.assign(new GrpcCall(call, rule.deadlineMs), {
      fail: (error: unknown) => {
        if (!context.signal().aborted) context.end(statusOfError(error, context));
      },
    });
    const { deadlineMs } = rule;
    const timer =
      deadlineMs === null
        ? undefined
        : setTimeout(() => grpcCall.fail(new Rejected({ kind: 'deadline-exceeded' })), deadlineMs);
    const run = async () => {
      const isAuthorized = rule.openToUnixSockets === true && context.throughUnixSocket;
      if (!isAuthorized) await admit(call.request, grpcCall);
      // Those of public methods are counted before their request has come (call-interceptor.ts).
      if (rule.access !== 'public' && !context.reserveStream('watching'))
        throw new Rejected({ kind: 'too-many-streams' });
      for await (const response of handler(call.request, grpcCall)) {
        if (context.signal().aborted) return;
        await write(call, response, context);
      }
      if (!context.signal().aborted) call.end();
    };
    run()
      .catch(grpcCall.fail)
      .finally(() => clearTimeout(timer));
  };
}

/** Resolves when the transport has taken the message, or the call has ended. */
async function write<Request, Response>(
  call: ServerWritableStream<Request, Response>,
  response: Response | EncodedMessage,
  context: CallContext,
): Promise<void> {
  const signal = context.signal();
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(() => {
      context.end(statusOfError(new Rejected({ kind: 'reader-too-slow' }), context));
    }, READER_LIMIT_MS);
    signal.addEventListener('abort', done, { once: true });
    // What is encoded already goes past the serializer (register-service.ts).
    call.write(response as Response, done);
  });
}
