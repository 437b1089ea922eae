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
import { MAX_MESSAGE_BYTES, MAX_METADATA_BYTES } from './limits.ts';
import { methodTable } from '../rpc/method-table.ts';
import { verifiedClientNames } from './peer-certificate.ts';
import {
  internalStatus,
  presentableText,
  type RpcStatus,
  statusOf,
  unreadableRequest,
} from '../rpc/rejection-status.ts';
import type { OpenStreams } from './stream-slots.ts';
import type { WaitingCall, WaitingCalls } from './waiting-calls.ts';

type PartialStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

/**
 * grpc-js keeps the caller's deadline here; it has no public way to take a wrong one back, nor one to let go of a
 * caller that does not read its status.
 */
interface BaseCall extends ServerInterceptingCallInterface {
  readonly stream: ServerHttp2Stream;
  deadline: number;
  deadlineTimer: NodeJS.Timeout | null;
}

/** How long the end of a request stream must stand before it is believed, lest half a stream pass for all of it. */
const HALF_CLOSE_SETTLES_MS = 20;
/** The status of a stream waits behind what the caller has not read yet; after this time the stream is reset. */
const STATUS_LIMIT_MS = 2_000;

/**
 * The outermost layer of every call, foreign services included. grpc-js answers some faults itself, past every
 * interceptor: undecodable messages, broken compression, a malformed timeout. All of those end in the `sendStatus`
 * of the innermost call, so that is where this boundary stands: each status goes out with the request id and is
 * reported once; a caller's bad input is never called INTERNAL or UNKNOWN; no fault's text reaches a caller.
 */
export function callInterceptor(options: {
  isStopping: () => boolean;
  throughUnixSocket: () => boolean;
  isTrustedProxy: (address: string) => boolean;
  /** Holds a way to end each stream that is open: a stream would outlast any grace time at the stop. */
  stopStreams: Set<() => void>;
  streams: OpenStreams;
  /** After so long without a message the stream of a caller without a credential ends. */
  streamIdleMs: number;
  /** The calls whose one request has not come. */
  awaitingRequest: WaitingCalls;
  /** Those whose answer is not read. */
  awaitingReader: WaitingCalls;
  /** Told of the connection when one of its calls was reset. */
  onReset: (session: Http2Session | undefined) => void;
  onFinish: (call: FinishedCall) => void;
}): ServerInterceptor {
  const { awaitingRequest, awaitingReader, streams } = options;
  return (method, intercepted) => {
    const call = intercepted as BaseCall;
    const startedAtMs = performance.now();
    const { session } = call.stream;
    let ended: AbortController | undefined;
    let context: CallContext = {
      requestId: randomUUID(),
      path: method.path,
      peer: call.getPeer(),
      throughUnixSocket: options.throughUnixSocket(),
      isTrustedProxy: options.isTrustedProxy,
      clientNames: () => verifiedClientNames(call.getAuthContext()),
      startedAtMs,
      caller: null,
      signal() {
        ended ??= new AbortController();
        if (finished) ended.abort(callEnded);
        return ended.signal;
      },
      reserveStream(kind) {
        const release = session ? streams[kind].take(session) : null;
        if (release === null) return false;
        call.stream.once('close', release);
        return true;
      },
      end(status) {
        handedOver = true;
        call.sendStatus(statusObject(status));
      },
    };
    let handedOver = false;
    let finished = false;
    const isStream = method.requestStream || method.responseStream;
    const isAnonymousStream = isStream && methodTable[method.path]?.access === 'public';
    let idle: NodeJS.Timeout | undefined;
    const stopStream = () => context.end(stoppingStatus());
    const refuse = (why: Rejection) => {
      call.sendStatus(refusedWith(context, why));
      call.stream.close(constants.NGHTTP2_NO_ERROR);
    };
    const request: WaitingCall = {
      waitsSinceMs: startedAtMs,
      chargedSession: isAnonymousStream ? null : (session ?? null),
      giveUpWaiting: refuse,
    };
    let answer: WaitingCall | undefined;
    const waitForReader = () => {
      if (answer || call.stream.destroyed) return;
      const giveUpWaiting = () => call.stream.close(constants.NGHTTP2_CANCEL);
      const waiting = { waitsSinceMs: performance.now(), chargedSession: null, giveUpWaiting };
      answer = waiting;
      awaitingReader.add(waiting);
      call.stream.once('close', () => awaitingReader.delete(waiting));
    };

    call.stream.once('close', () => {
      if (call.stream.rstCode !== constants.NGHTTP2_NO_ERROR) options.onReset(session);
    });

    const start = call.start.bind(call);
    call.start = (listener) => {
      dropOverflowedDeadline(call);
      start({
        onReceiveMetadata(metadata) {
          const requestId = requestIdOf(metadata.get('x-request-id')[0]);
          if (requestId !== undefined) context = { ...context, requestId };
          attachContext(metadata, context);
          if (options.isStopping()) {
            call.sendStatus(statusObject(stoppingStatus()));
          } else if (sizeOf(metadata) > MAX_METADATA_BYTES) {
            call.sendStatus(
              refusedWith(context, { kind: 'metadata-too-large', maxBytes: MAX_METADATA_BYTES }),
            );
          } else if (isAnonymousStream && !context.reserveStream('anonymous')) {
            refuse({ kind: 'too-many-streams' });
          } else {
            if (isStream) options.stopStreams.add(stopStream);
            if (isAnonymousStream) idle = setTimeout(endIdle, options.streamIdleMs);
            if (!method.requestStream) awaitingRequest.add(request);
            listener.onReceiveMetadata(metadata);
          }
        },
        onReceiveMessage(message) {
          idle?.refresh();
          listener.onReceiveMessage(message);
        },
        onReceiveHalfClose() {
          awaitingRequest.delete(request);
          const pass = () => {
            if (call.stream.closed || call.stream.destroyed) return;
            handedOver = true;
            listener.onReceiveHalfClose();
          };
          // Node's own client says that it has sent everything and only then resets, when it cancels.
          if (method.requestStream) setTimeout(pass, HALF_CLOSE_SETTLES_MS);
          else pass();
        },
        onCancel() {
          finish(Code.CANCELLED);
          listener.onCancel();
        },
      });
    };

    const sendMessage = call.sendMessage.bind(call);
    call.sendMessage = (message, callback) => {
      idle?.refresh();
      // The status goes out only when the message is read; a stream waits for its readers itself.
      if (!method.responseStream) waitForReader();
      sendMessage(message, callback);
    };

    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      if (finished) return;
      const outgoing = outgoingStatus(status, handedOver, context);
      outgoing.metadata.set('x-request-id', context.requestId);
      finish(outgoing.code);
      sendStatus(outgoing);
      if (method.responseStream) resetUnlessRead(call.stream);
      else waitForReader();
    };

    function endIdle(): void {
      const status = statusOf({ kind: 'stream-idle' });
      context.reason = status.reason;
      context.end(status);
    }

    function finish(code: Code): void {
      if (finished) return;
      finished = true;
      options.stopStreams.delete(stopStream);
      awaitingRequest.delete(request);
      clearTimeout(idle);
      ended?.abort(callEnded);
      options.onFinish({ ...context, code, durationMs: performance.now() - startedAtMs });
    }

    return call as unknown as ServerInterceptingCall;
  };
}

function stoppingStatus(): RpcStatus {
  return statusOf({ kind: 'shutting-down', retryAfterMs: RETRY_AFTER_MS });
}

function resetUnlessRead(stream: ServerHttp2Stream): void {
  if (stream.destroyed) return;
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), STATUS_LIMIT_MS);
  stream.once('close', () => clearTimeout(timer));
}

/** What is sent in place of what grpc-js or a handler wanted to say. */
function outgoingStatus(status: PartialStatus, handedOver: boolean, context: CallContext): StatusObject {
  // grpc-js itself measures the messages that it takes, and says so without details; what is ours has metadata.
  if (status.code === Code.RESOURCE_EXHAUSTED && !status.metadata)
    return refusedWith(context, { kind: 'message-too-large', maxBytes: MAX_MESSAGE_BYTES });
  const metadata = status.metadata ?? new Metadata();
  const faulty = status.code === Code.INTERNAL || status.code === Code.UNKNOWN;
  if (!faulty) return { code: status.code, details: presentableText(status.details), metadata };
  if (handedOver) return { ...statusObject(internalStatus()), metadata };
  // Nothing of ours ran yet: the fault is in what the caller sent.
  context.cause = status.details;
  return withReason(context, unreadableRequest());
}

function refusedWith(context: CallContext, rejection: Rejection): StatusObject {
  return withReason(context, statusOf(rejection));
}

function withReason(context: CallContext, refused: RpcStatus): StatusObject {
  context.reason = refused.reason;
  return statusObject(refused);
}

/**
 * grpc-js computes a timeout in 32 bits, so that a generous one (99999999H) may come out negative and fail the call
 * at once. No honest deadline is long past when its call begins; such a one is dropped, the method's own remains.
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
