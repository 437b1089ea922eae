import type { handleServerStreamingCall, ServerWritableStream } from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import type { CallContext } from '../rpc/call-context.ts';
import type { ServerStreamHandler } from '../rpc/handlers.ts';
import { contextOf } from './attached-context.ts';
import { GrpcCall } from './grpc-call.ts';
import type { EncodedMessage } from '../rpc/encoded-message.ts';
import type { MethodRule } from '../rpc/method-table.ts';
import { statusOfError } from '../rpc/rejection-status.ts';

/** How long a reader may leave a message unread. Unread messages use the memory of this process. */
const READER_LIMIT_MS = 10_000;

/**
 * Runs a handler of a response stream. Whatever it throws becomes a status, so that it cannot end the process. The
 * transport gets one message at a time, so that a slow reader delays only its own stream.
 *
 * @param authorize throws `Rejected` for a caller that the method's rule does not allow
 */
export function serverStream<Request, Response>(
  rule: MethodRule,
  authorize: (request: Request, call: GrpcCall) => void | Promise<void>,
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
      const isTrustedSocket = rule.openToUnixSockets === true && context.throughUnixSocket;
      if (!isTrustedSocket) await authorize(call.request, grpcCall);
      // Streams of public methods are counted before their request arrives (call-interceptor.ts).
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

/** Resolves when the transport has taken the message, or when the call has ended. */
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
    // The serializer passes an encoded message through (register-service.ts).
    call.write(response as Response, done);
  });
}
