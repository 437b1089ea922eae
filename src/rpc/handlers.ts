import type { Call } from './call.ts';
import type { EncodedMessage } from './encoded-message.ts';

type Answer<Response> = Response | EncodedMessage;

/** Answers one request. @throws Rejected; any other error becomes INTERNAL */
export type UnaryHandler<Request, Response> = (
  request: Request,
  call: Call,
) => Answer<Response> | Promise<Answer<Response>>;

/** The call of a server-streaming method. */
export interface StreamCall extends Call {
  /** Ends the stream at once, even while a response waits for flow control. The error counts as thrown by the handler. */
  fail(error: unknown): void;
}

/**
 * Yields the responses; the next is requested when the transport has taken the previous one. Must stop waiting when
 * `call.signal` aborts.
 *
 * @throws Rejected; any other error becomes INTERNAL
 */
export type ServerStreamHandler<Request, Response> = (
  request: Request,
  call: StreamCall,
) => AsyncIterable<Answer<Response>>;

/**
 * Answers a stream of requests once. Requests are read from the caller on demand. The iteration ends normally only after
 * the caller has sent the last request. If the call ends earlier, it throws `Rejected` `cancelled`, so that an incomplete
 * stream is not taken for a complete one.
 *
 * @throws Rejected; any other error becomes INTERNAL
 */
export type ClientStreamHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  call: Call,
) => Promise<Response>;

/** One handler for every method of a generated service, of the type that its definition requires. */
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

/** Adds a service of Postern to a transport. The type checks the handlers against the generated definition. */
export type AddService = <Service extends object>(
  service: Service,
  handlers: ServiceHandlers<Service>,
) => void;

/** The contract has no bidirectional streams. */
type Handler<RequestStream, ResponseStream, Request, Response> = RequestStream extends true
  ? ResponseStream extends true
    ? never
    : ClientStreamHandler<Request, Response>
  : ResponseStream extends true
    ? ServerStreamHandler<Request, Response>
    : UnaryHandler<Request, Response>;
