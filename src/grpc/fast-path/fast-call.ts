import { randomUUID } from 'node:crypto';
import { constants, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { TLSSocket } from 'node:tls';

import type { Caller } from '../../domain/caller.ts';
import type { CallOrigin } from '../../domain/operation-call.ts';
import { Rejected, type Rejection } from '../../domain/rejection.ts';
import { callEnded, type FinishedCall, requestIdOf } from '../../rpc/call-context.ts';
import { type GuardedCall, originOf } from '../../rpc/call.ts';
import { CALL_STORE_LIMIT_MS } from '../../rpc/time-limits.ts';
import { EncodedMessage, PREFIX_BYTES } from '../../rpc/encoded-message.ts';
import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';
import type { GuardedHandler } from '../../rpc/method-guard.ts';
import { presentableText, statusOf, statusOfError, unreadableRequest } from '../../rpc/rejection-status.ts';
import type { RpcStatus } from '../../rpc/rpc-status.ts';
import { Code } from '../../rpc/status-code.ts';
import { encodeStatusDetails } from '../../rpc/status-details.ts';
import type { CallTrace } from '../../observability/tracing/tracing.ts';
import { verifiedClientNames } from '../peer-certificate.ts';
import type { WaitingCall, WaitingCalls } from '../limits/waiting-calls.ts';

/** A method that the fast path answers. */
export interface FastMethod {
  readonly path: string;
  readonly decode: (bytes: Buffer) => unknown;
  readonly encode: (response: unknown) => Buffer;
  readonly deadlineMs: number;
  /** The handler within its guard. */
  readonly handler: GuardedHandler<unknown, unknown>;
}

export type StartTrace = (
  call: { readonly path: string; readonly peer: string },
  session: Http2Session | undefined,
  header: (name: string) => readonly string[],
) => CallTrace;

/** What all fast calls of a server share. */
export interface FastPathContext {
  readonly throughUnixSocket: () => boolean;
  readonly isTrustedProxy: (address: string) => boolean;
  /** Calls whose request has not arrived. */
  readonly awaitingRequest: WaitingCalls;
  /** Calls whose response has not been read. */
  readonly awaitingReader: WaitingCalls;
  readonly onFinish: (call: FinishedCall) => void;
  /** Undefined when calls are not traced. */
  readonly startTrace: StartTrace | undefined;
  /** Called with the connection and the status when a call has ended. */
  readonly onEnd: (session: Http2Session | undefined, code: Code) => void;
  /** Called with the connection when one of its calls was reset. */
  readonly onReset: (session: Http2Session | undefined) => void;
  /** The peer of a connection as grpc-js formats it; also works after the connection was closed. */
  readonly peerOf: (session: Http2Session | undefined) => string;
}

const RESPONSE_HEADERS = Object.freeze({
  ':status': 200,
  'content-type': 'application/grpc+proto',
  'grpc-accept-encoding': 'identity,deflate,gzip',
  'grpc-encoding': 'identity',
});
const WITH_TRAILERS = Object.freeze({ waitForTrailers: true });
const MS_PER_UNIT: Readonly<Record<string, number>> = {
  H: 3.6e6,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * One unary call on its HTTP/2 stream, without grpc-js. In gRPC over HTTP/2, request and response are one
 * length-prefixed message each, and the status is in the trailers.
 */
export class FastCall implements GuardedCall, FinishedCall, WaitingCall {
  readonly startedAtMs = performance.now();
  waitsSinceMs = this.startedAtMs;
  caller: Caller | null = null;
  isFromService = false;
  readonly requestId: string;
  code: Code = Code.OK;
  durationMs = 0;
  reason: FinishedCall['reason'];
  cause: unknown;
  isFault = false;
  isNoOp = false;
  readonly trace: FinishedCall['trace'];
  readonly #method: FastMethod;
  readonly #stream: ServerHttp2Stream;
  /** Noted here, because a closed stream has no session. */
  readonly #session: Http2Session | undefined;
  readonly #headers: IncomingHttpHeaders;
  readonly #context: FastPathContext;
  readonly #fallback: () => void;
  /** Discarded without an end when the call is passed to grpc-js, which starts another. */
  readonly #span: CallTrace | undefined;
  #received: Buffer | null = null;
  #ended: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #finished = false;

  constructor(
    method: FastMethod,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    context: FastPathContext,
    fallback: () => void,
  ) {
    this.#method = method;
    this.#stream = stream;
    this.#session = stream.session;
    this.#headers = headers;
    this.#context = context;
    this.#fallback = fallback;
    this.requestId = requestIdOf(headers['x-request-id']) ?? randomUUID();
    this.#span = context.startTrace?.(this, this.#session, (name) => [headers[name] ?? []].flat());
    this.trace = this.#span?.sampled;
    context.awaitingRequest.add(this);
    stream.on('error', ignore);
    stream.on('close', this.#onClose);
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
  }

  get path(): string {
    return this.#method.path;
  }

  get peer(): string {
    return this.#context.peerOf(this.#session);
  }

  get chargedSession(): Http2Session | null {
    return this.#session ?? null;
  }

  get throughUnixSocket(): boolean {
    return this.#context.throughUnixSocket();
  }

  get isTrustedProxy(): (address: string) => boolean {
    return this.#context.isTrustedProxy;
  }

  get deadlineMs(): number {
    return Date.now() + this.#remainingMs();
  }

  get storeDeadlineMs(): number {
    return Date.now() + CALL_STORE_LIMIT_MS - (performance.now() - this.startedAtMs);
  }

  get signal(): AbortSignal {
    this.#ended ??= new AbortController();
    if (this.#finished) this.#ended.abort(callEnded);
    return this.#ended.signal;
  }

  get origin(): CallOrigin {
    const forwardedFor = this.#headers['x-forwarded-for'] ?? [];
    const origin = originOf(this, this.#headers['user-agent'], [forwardedFor].flat());
    return this.isFromService ? { ...origin, isTrustedForwarder: true } : origin;
  }

  get authorization(): readonly string[] {
    // A list when the field was repeated, see `restoreRepeatedAuthorization`.
    return [this.#headers.authorization ?? []].flat();
  }

  get clientNames(): readonly string[] | null {
    const socket = this.#stream.session?.socket;
    if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
    return verifiedClientNames({ sslPeerCertificate: socket.getPeerCertificate() });
  }

  noteRefusal(reason: FinishedCall['reason'], cause: unknown, isFault: boolean): void {
    this.reason = reason;
    this.cause = cause;
    this.isFault = isFault;
  }

  noteNoOp(): void {
    this.isNoOp = true;
  }

  /** One chunk usually has the whole message. grpc-js handles a message that arrives in several chunks. */
  readonly #onData = (chunk: Buffer): void => {
    if (this.#received !== null) this.#fallBack(Buffer.concat([this.#received, chunk]));
    else if (isWholeMessage(chunk)) this.#received = chunk;
    else this.#fallBack(chunk);
  };

  readonly #onEnd = (): void => {
    this.#context.awaitingRequest.delete(this);
    const received = this.#received;
    if (received === null) {
      this.#refuse({ code: Code.UNIMPLEMENTED, message: 'the call has no request message; send one' });
      return;
    }
    this.#received = null;
    this.#run(received.subarray(PREFIX_BYTES));
  };

  readonly #onClose = (): void => {
    this.#finish(Code.CANCELLED);
    this.#context.awaitingReader.delete(this);
    if (this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR) this.#context.onReset(this.#session);
  };

  giveUpWaiting(rejection: Rejection): void {
    if (this.#finished) {
      this.#stream.close(constants.NGHTTP2_CANCEL);
      return;
    }
    const status = statusOf(rejection);
    this.reason = status.reason;
    this.#refuse(status);
    this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /**
   * Passes the call to grpc-js. Its stream is then as it was before: with no data read and without listeners of this
   * class.
   */
  #fallBack(received: Buffer): void {
    const stream = this.#stream;
    this.#context.awaitingRequest.delete(this);
    stream.off('close', this.#onClose);
    stream.off('data', this.#onData);
    stream.off('end', this.#onEnd);
    stream.pause();
    stream.unshift(received);
    this.#fallback();
  }

  #run(message: Buffer): void {
    let request: unknown;
    try {
      request = this.#method.decode(message);
    } catch (error) {
      this.cause = error;
      const status = unreadableRequest();
      this.reason = status.reason;
      this.#refuse(status);
      return;
    }
    try {
      const work = () => this.#method.handler(request, this);
      const response = this.#span ? this.#span.run(work) : work();
      if (!(response instanceof Promise)) {
        this.#reply(response);
        return;
      }
      this.#timer = setTimeout(
        () => this.#fail(new Rejected({ kind: 'deadline-exceeded' })),
        Math.max(0, this.#remainingMs()),
      );
      response.then(this.#reply, this.#fail);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #reply = (response: unknown): void => {
    if (this.#isClosed()) return;
    let message: EncodedMessage;
    try {
      message =
        response instanceof EncodedMessage ? response : new EncodedMessage(this.#method.encode(response));
    } catch (error) {
      this.#fail(error);
      return;
    }
    const stream = this.#stream;
    stream.respond(RESPONSE_HEADERS, WITH_TRAILERS);
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ 'grpc-status': 0, 'grpc-message': 'OK', 'x-request-id': this.requestId }),
    );
    stream.end(message.frame);
    this.#finish(Code.OK);
  };

  readonly #fail = (error: unknown): void => {
    if (!this.#finished) this.#refuse(statusOfError(error, this));
  };

  #refuse(status: RpcStatus): void {
    if (this.#isClosed()) return;
    const details = encodeStatusDetails(status);
    this.#stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc+proto',
        'grpc-status': status.code,
        'grpc-message': encodeURI(presentableText(status.message)),
        ...(details && { 'grpc-status-details-bin': details.toString('base64') }),
        'x-request-id': this.requestId,
      },
      { endStream: true },
    );
    this.#finish(status.code);
  }

  #isClosed(): boolean {
    if (this.#finished) return true;
    if (!this.#stream.destroyed && !this.#stream.closed) return false;
    this.#finish(Code.CANCELLED);
    return true;
  }

  #finish(code: Code): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#context.awaitingRequest.delete(this);
    this.#context.onEnd(this.#session, code);
    clearTimeout(this.#timer);
    this.#ended?.abort(callEnded);
    this.code = code;
    this.waitsSinceMs = performance.now();
    this.durationMs = this.waitsSinceMs - this.startedAtMs;
    if (!this.#stream.destroyed) this.#context.awaitingReader.add(this);
    this.#span?.end({ code }, this);
    this.#context.onFinish(this);
  }

  /** The time until the caller's deadline or that of the method, whichever is earlier, ms. */
  #remainingMs(): number {
    const timeout = this.#headers['grpc-timeout'];
    const unit = typeof timeout === 'string' ? MS_PER_UNIT[timeout.at(-1) ?? ''] : undefined;
    const callerTimeoutMs = unit === undefined ? Infinity : unit * Number.parseInt(String(timeout), 10);
    return Math.min(callerTimeoutMs, this.#method.deadlineMs) - (performance.now() - this.startedAtMs);
  }
}

/** Whether the bytes are exactly one message, uncompressed and within the size limit. */
function isWholeMessage(received: Buffer): boolean {
  if (received.length < PREFIX_BYTES || received.length > PREFIX_BYTES + MAX_MESSAGE_BYTES) return false;
  return received[0] === 0 && received.length === PREFIX_BYTES + received.readUInt32BE(1);
}

/** A `close` event follows each error of a stream. */
function ignore(): void {}
