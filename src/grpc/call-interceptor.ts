import { randomUUID } from 'node:crypto';
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2';

import {
  Metadata,
  type ServerInterceptor,
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type StatusObject,
  status as Code,
} from '@grpc/grpc-js';

import { type CallContext, callEnded, type FinishedCall, requestIdOf } from '../rpc/call-context.ts';
import { attachContext } from './attached-context.ts';
import { statusObject } from './status-object.ts';
import { type Rejection, RETRY_AFTER_MS } from '../domain/rejection.ts';
import { MAX_METADATA_BYTES } from './limits/limits.ts';
import { MAX_MESSAGE_BYTES } from '../rpc/size-limits.ts';
import { methodTable } from '../rpc/method-table.ts';
import { verifiedClientNames } from './peer-certificate.ts';
import { internalStatus, presentableText, statusOf, unreadableRequest } from '../rpc/rejection-status.ts';
import type { RpcStatus } from '../rpc/rpc-status.ts';
import type { OpenStreams } from './limits/stream-slots.ts';
import type { WaitingCall, WaitingCalls } from './limits/waiting-calls.ts';

type Method = Pick<Parameters<ServerInterceptor>[0], 'path' | 'requestStream' | 'responseStream'>;
type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type PartialStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

/**
 * The private members of a grpc-js call that are needed here. grpc-js has no public way to drop a deadline that it
 * computed wrongly, or to reset the stream of a caller that does not read its status.
 */
interface BaseCall extends ServerInterceptingCallInterface {
  readonly stream: ServerHttp2Stream;
  deadline: number;
  deadlineTimer: NodeJS.Timeout | null;
}

/** How long the end of a request stream is held, so that a cancelled stream does not count as a complete one. */
const HALF_CLOSE_DELAY_MS = 20;
/** The status of a stream is sent after all unread messages. After this time the stream is reset. */
const STATUS_LIMIT_MS = 2_000;

interface InterceptorOptions {
  isStopping: () => boolean;
  throughUnixSocket: () => boolean;
  isTrustedProxy: (address: string) => boolean;
  /** Has a function for each open stream that ends it: a stream could outlast the grace period of a stop. */
  stopStreams: Set<() => void>;
  streams: OpenStreams;
  /** The time without a message after which a stream of a caller without a credential ends. */
  streamIdleMs: number;
  /** Unary calls and response streams whose request has not arrived. */
  awaitingRequest: WaitingCalls;
  /** Calls whose response has not been read. */
  awaitingReader: WaitingCalls;
  /** Called with the connection when one of its calls was reset. */
  onReset: (session: Http2Session | undefined) => void;
  onFinish: (call: FinishedCall) => void;
}

/**
 * The interceptor around every call, including calls of services that a library brings. grpc-js answers some faults
 * itself, without any other interceptor: undecodable messages, broken compression, a malformed timeout. All of them end
 * in the `sendStatus` of the innermost call, so this interceptor replaces that method. Each status then has the request
 * id and is reported once, a fault of the request is never INTERNAL or UNKNOWN, and no text of an internal error
 * reaches a caller.
 */
export function callInterceptor(options: InterceptorOptions): ServerInterceptor {
  return (method, intercepted) => {
    const call = intercepted as BaseCall;
    new InterceptedCall(call, method, options).install();
    return call as unknown as ServerInterceptingCall;
  };
}

class InterceptedCall {
  readonly #call: BaseCall;
  readonly #method: Method;
  readonly #options: InterceptorOptions;
  /** Noted here, because a closed stream has no session. */
  readonly #session: Http2Session | undefined;
  readonly #startedAtMs = performance.now();
  readonly #isStream: boolean;
  readonly #isAnonymousStream: boolean;
  readonly #waitingRequest: WaitingCall;
  readonly #stopStream = () => this.#context.end(stoppingStatus());
  #context: CallContext;
  /**
   * Whether an INTERNAL or UNKNOWN is a fault of this server. Before the request is complete, it is one of the request.
   * A status of `CallContext.end` always counts as one of this server.
   */
  #isRequestComplete = false;
  #waitsForReader = false;
  #finished = false;
  #idleTimer: NodeJS.Timeout | undefined;
  #ended: AbortController | undefined;

  constructor(call: BaseCall, method: Method, options: InterceptorOptions) {
    this.#call = call;
    this.#method = method;
    this.#options = options;
    this.#session = call.stream.session;
    this.#isStream = method.requestStream || method.responseStream;
    this.#isAnonymousStream = this.#isStream && methodTable[method.path]?.access === 'public';
    this.#waitingRequest = {
      waitsSinceMs: this.#startedAtMs,
      chargedSession: this.#isAnonymousStream ? null : (this.#session ?? null),
      giveUpWaiting: (rejection) => this.#refuse(rejection),
    };
    this.#context = this.#newContext();
  }

  /** Replaces the methods of the grpc-js call. */
  install(): void {
    const call = this.#call;
    call.stream.once('close', () => {
      if (call.stream.rstCode !== constants.NGHTTP2_NO_ERROR) this.#options.onReset(this.#session);
    });

    const start = call.start.bind(call);
    call.start = (listener) => {
      dropOverflowedDeadline(call);
      start({
        onReceiveMetadata: (metadata) => this.#onMetadata(metadata, listener),
        onReceiveMessage: (message) => {
          this.#idleTimer?.refresh();
          listener.onReceiveMessage(message);
        },
        onReceiveHalfClose: () => this.#onHalfClose(listener),
        onCancel: () => {
          this.#finish(Code.CANCELLED);
          listener.onCancel();
        },
      });
    };

    const sendMessage = call.sendMessage.bind(call);
    call.sendMessage = (message, callback) => {
      this.#idleTimer?.refresh();
      // grpc-js sends the status only when the message has been read. A response stream limits that time itself.
      if (!this.#method.responseStream) this.#waitForReader();
      sendMessage(message, callback);
    };

    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      if (this.#finished) return;
      const outgoing = outgoingStatus(status, this.#isRequestComplete, this.#context);
      outgoing.metadata.set('x-request-id', this.#context.requestId);
      this.#finish(outgoing.code);
      sendStatus(outgoing);
      if (this.#method.responseStream) resetUnlessRead(call.stream);
      else this.#waitForReader();
    };
  }

  #newContext(): CallContext {
    const call = this.#call;
    return {
      requestId: randomUUID(),
      path: this.#method.path,
      peer: call.getPeer(),
      throughUnixSocket: this.#options.throughUnixSocket(),
      isTrustedProxy: this.#options.isTrustedProxy,
      clientNames: () => verifiedClientNames(call.getAuthContext()),
      startedAtMs: this.#startedAtMs,
      caller: null,
      signal: () => {
        this.#ended ??= new AbortController();
        if (this.#finished) this.#ended.abort(callEnded);
        return this.#ended.signal;
      },
      reserveStream: (kind) => {
        const release = this.#session ? this.#options.streams[kind].take(this.#session) : null;
        if (release === null) return false;
        call.stream.once('close', release);
        return true;
      },
      end: (status) => {
        this.#isRequestComplete = true;
        call.sendStatus(statusObject(status));
      },
    };
  }

  #onMetadata(metadata: Metadata, listener: Listener): void {
    const requestId = requestIdOf(metadata.get('x-request-id')[0]);
    if (requestId !== undefined) this.#context = { ...this.#context, requestId };
    const context = this.#context;
    attachContext(metadata, context);
    if (this.#options.isStopping()) {
      this.#call.sendStatus(statusObject(stoppingStatus()));
      return;
    }
    if (sizeOf(metadata) > MAX_METADATA_BYTES) {
      const rejection: Rejection = { kind: 'metadata-too-large', maxBytes: MAX_METADATA_BYTES };
      this.#call.sendStatus(rejectionStatus(context, rejection));
      return;
    }
    if (this.#isAnonymousStream && !context.reserveStream('anonymous')) {
      this.#refuse({ kind: 'too-many-streams' });
      return;
    }
    if (this.#isStream) this.#options.stopStreams.add(this.#stopStream);
    if (this.#isAnonymousStream)
      this.#idleTimer = setTimeout(() => this.#endIdleStream(), this.#options.streamIdleMs);
    if (!this.#method.requestStream) this.#options.awaitingRequest.add(this.#waitingRequest);
    listener.onReceiveMetadata(metadata);
  }

  #onHalfClose(listener: Listener): void {
    this.#options.awaitingRequest.delete(this.#waitingRequest);
    const pass = () => {
      if (this.#call.stream.closed || this.#call.stream.destroyed) return;
      this.#isRequestComplete = true;
      listener.onReceiveHalfClose();
    };
    // A client on Node that cancels first ends its request stream and then resets it. On a busy machine the timer may fire
    // late, before a reset that has arrived is read: `setImmediate` comes after the sockets.
    if (this.#method.requestStream) setTimeout(() => setImmediate(pass), HALF_CLOSE_DELAY_MS);
    else pass();
  }

  #waitForReader(): void {
    const { stream } = this.#call;
    if (this.#waitsForReader || stream.destroyed) return;
    this.#waitsForReader = true;
    const { awaitingReader } = this.#options;
    const waiting: WaitingCall = {
      waitsSinceMs: performance.now(),
      chargedSession: null,
      giveUpWaiting: () => stream.close(constants.NGHTTP2_CANCEL),
    };
    awaitingReader.add(waiting);
    stream.once('close', () => awaitingReader.delete(waiting));
  }

  #refuse(rejection: Rejection): void {
    this.#call.sendStatus(rejectionStatus(this.#context, rejection));
    this.#call.stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #endIdleStream(): void {
    const status = statusOf({ kind: 'stream-idle' });
    this.#context.reason = status.reason;
    this.#context.end(status);
  }

  #finish(code: Code): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#options.stopStreams.delete(this.#stopStream);
    this.#options.awaitingRequest.delete(this.#waitingRequest);
    clearTimeout(this.#idleTimer);
    this.#ended?.abort(callEnded);
    this.#options.onFinish({ ...this.#context, code, durationMs: performance.now() - this.#startedAtMs });
  }
}

function stoppingStatus(): RpcStatus {
  return statusOf({ kind: 'shutting-down', retryAfterMs: RETRY_AFTER_MS });
}

function resetUnlessRead(stream: ServerHttp2Stream): void {
  if (stream.destroyed) return;
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), STATUS_LIMIT_MS);
  stream.once('close', () => clearTimeout(timer));
}

/** The status that is sent for a status of grpc-js or of a handler. */
function outgoingStatus(
  status: PartialStatus,
  isRequestComplete: boolean,
  context: CallContext,
): StatusObject {
  // grpc-js limits the size of messages itself, with a status without metadata. Postern always sets metadata.
  if (status.code === Code.RESOURCE_EXHAUSTED && !status.metadata)
    return rejectionStatus(context, { kind: 'message-too-large', maxBytes: MAX_MESSAGE_BYTES });
  const metadata = status.metadata ?? new Metadata();
  const isFault = status.code === Code.INTERNAL || status.code === Code.UNKNOWN;
  if (!isFault) return { code: status.code, details: presentableText(status.details), metadata };
  if (isRequestComplete) return { ...statusObject(internalStatus()), metadata };
  // No handler has run yet, so the fault is in the request.
  context.cause = status.details;
  return withReason(context, unreadableRequest());
}

function rejectionStatus(context: CallContext, rejection: Rejection): StatusObject {
  return withReason(context, statusOf(rejection));
}

function withReason(context: CallContext, status: RpcStatus): StatusObject {
  context.reason = status.reason;
  return statusObject(status);
}

/**
 * grpc-js computes a timeout in 32 bits, so a very long one (99999999H) may become negative and end the call at once. A
 * correct deadline is never long past when its call begins. Such a deadline is dropped; that of the method remains.
 */
function dropOverflowedDeadline(call: BaseCall): void {
  if (call.deadline >= Date.now() - 60_000) return;
  if (call.deadlineTimer) clearTimeout(call.deadlineTimer);
  call.deadlineTimer = null;
  call.deadline = Infinity;
}

function sizeOf(metadata: Metadata): number {
  let bytes = 0;
  for (const [name, values] of Object.entries(metadata.toHttp2Headers())) {
    for (const value of Array.isArray(values) ? values : [values])
      bytes += name.length + String(value).length;
  }
  return bytes;
}
