import type { Call } from './call.ts';
import type { EncodedMessage } from './encoded-message.ts';

type Answer<Response> = Response | EncodedMessage;

/** Answers a request, at once or later, or throws `Rejected`; whatever else it throws is a fault of ours. */
export type UnaryHandler<Request, Response> = (
  request: Request,
  call: Call,
) => Answer<Response> | Promise<Answer<Response>>;

/** A call that is answered by a stream. */
export interface StreamCall extends Call {
  /** Ends the stream at once, also while its reader is waited for. `Rejected` as from a handler. */
  fail(error: unknown): void;
}

/**
 * Gives the responses one by one; the next is asked for when the one before is on its way. Throws `Rejected`; whatever
 * else it throws is a fault of ours. Must stop waiting when `call.signal` is aborted.
 */
export type ServerStreamHandler<Request, Response> = (
  request: Request,
  call: StreamCall,
) => AsyncIterable<Answer<Response>>;

/**
 * Answers a stream of requests once, or throws `Rejected`; whatever else it throws is a fault of ours. Requests are
 * read from the caller as they are asked for. They end normally only when the caller has sent the last one: a call
 * that ends otherwise makes them throw `Rejected` `cancelled`, so that half of a stream never passes for all of it.
 */
export type ClientStreamHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  call: Call,
) => Promise<Response>;

/** One handler for every method of a generated service, of the kind that its definition asks for. */
export type ServiceHandlers<Service> = {
  readonly [Method in keyof Service]: Service[Method] extends {
    requestStream: infer RequestStream;
    responseStream: infer ResponseStream;
    requestSerialize: (value: infer Request) => Buffer;
    responseSerialize: (value: infer Response) => Buffer;
  }
    ? Handler<RequestStream, ResponseStream, Request, Response>
    : never;
};

/** The contract has no method with streams both ways. */
type Handler<RequestStream, ResponseStream, Request, Response> = RequestStream extends true
  ? ResponseStream extends true
    ? never
    : ClientStreamHandler<Request, Response>
  : ResponseStream extends true
    ? ServerStreamHandler<Request, Response>
    : UnaryHandler<Request, Response>;
