import {
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';

import type { MethodDefinition, Server } from '@grpc/grpc-js';

import { FastCall, type FastMethod, type FastPathContext } from './fast-call.ts';
import { channelzCounter, http2ServersOf } from '../grpc-js-internals.ts';
import { MAX_METADATA_BYTES } from '../limits/limits.ts';
import type { GuardedHandler } from '../../rpc/method-guard.ts';
import type { MethodRule } from '../../rpc/method-table.ts';
import { Code } from '../../rpc/status-code.ts';

type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
) => void;

export interface FastPathOptions extends Omit<FastPathContext, 'onEnd'> {
  /** While false, every call goes to grpc-js. */
  readonly isOpen: () => boolean;
}

const CONTENT_TYPES: ReadonlySet<unknown> = new Set(['application/grpc', 'application/grpc+proto']);
const TIMEOUT = /^[1-9]\d{0,7}[HMSm]$|^[1-9]\d{3,7}u$|^[1-9]\d{6,7}n$/;

/**
 * Answers the methods that the method table marks as hot on the HTTP/2 stream itself. grpc-js with its interceptors
 * costs several times as much as the verification of a cached token, and more than the refusal of a login (`npm run
 * bench`). Calls of the ordinary form, one uncompressed message in each direction, do not need it. All other calls go
 * unchanged to grpc-js and the call interceptor, as do all calls while the server is stopping.
 */
export class FastPath {
  readonly #methods = new Map<unknown, FastMethod>();
  readonly #options: FastPathOptions;

  constructor(options: FastPathOptions) {
    this.#options = options;
  }

  /** @param handler the handler within its guard, as for grpc-js */
  add(
    method: MethodDefinition<unknown, unknown>,
    { deadlineMs }: MethodRule,
    handler: GuardedHandler<unknown, unknown>,
  ): void {
    if (deadlineMs === null)
      throw new Error(`${method.path} has no deadline, so the fast path cannot answer it`);
    this.#methods.set(method.path, {
      path: method.path,
      decode: method.requestDeserialize,
      encode: method.responseSerialize,
      deadlineMs,
      handler,
    });
  }

  /** Replaces the stream listeners of grpc-js on every HTTP/2 listener of a bound server. */
  install(server: Server): void {
    const { isOpen, ...shared } = this.#options;
    const context: FastPathContext = { ...shared, onEnd: endReporter(server) };
    for (const http2Server of http2ServersOf(server)) {
      const listeners = http2Server.listeners('stream') as StreamListener[];
      http2Server.removeAllListeners('stream');
      const fallback: StreamListener = (...call) => listeners.forEach((listener) => listener(...call));
      const onStream: StreamListener = (...incoming) => {
        const [stream, headers, , rawHeaders] = incoming;
        if (headers[':method'] !== 'POST') {
          refuseMethod(stream);
          return;
        }
        restoreRepeatedAuthorization(headers, rawHeaders);
        const method = this.#methods.get(headers[':path']);
        if (method === undefined || !isOpen() || !isOrdinary(headers, rawHeaders)) fallback(...incoming);
        else new FastCall(method, stream, headers, context, () => fallback(...incoming));
      };
      // The type declarations lack the last argument.
      http2Server.on('stream', onStream as Parameters<typeof http2Server.on>[1]);
    }
  }
}

/**
 * gRPC uses only POST. grpc-js would answer other methods too, and for HEAD, which has no body, it has an internal
 * error: any caller could cause false faults. The stream is closed at once, because it does not count in the limits of
 * open streams (N15).
 */
function refuseMethod(stream: ServerHttp2Stream): void {
  stream.on('error', ignore);
  stream.respond({ ':status': 405, allow: 'POST' }, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}

/** A `close` event follows each error of a stream. */
function ignore(): void {}

/**
 * Of several `authorization` fields Node.js keeps only the first, but a proxy in front may have judged another. Here, before
 * the call goes either way, all of them are put back, so that the call is refused (N11).
 */
function restoreRepeatedAuthorization(headers: IncomingHttpHeaders, rawHeaders: readonly string[]): void {
  const name = 'authorization';
  if (rawHeaders.indexOf(name) === rawHeaders.lastIndexOf(name)) return;
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1] === name);
  // grpc-js takes a list for every name, unlike the type of Node.js.
  if (values.length > 1) Object.assign(headers, { [name]: values });
}

/** Whether the headers are those of a call without compression, with a standard timeout and within the size limit. */
function isOrdinary(headers: IncomingHttpHeaders, rawHeaders: readonly string[]): boolean {
  const { 'grpc-encoding': encoding, 'grpc-timeout': timeout } = headers;
  if (!CONTENT_TYPES.has(headers['content-type'])) return false;
  if (encoding !== undefined && encoding !== 'identity') return false;
  if (timeout !== undefined && !(typeof timeout === 'string' && TIMEOUT.test(timeout))) return false;
  let bytes = 0;
  for (const text of rawHeaders) bytes += text.length;
  return bytes <= MAX_METADATA_BYTES;
}

/**
 * grpc-js closes a connection without recent calls, and does not see the calls of the fast path. Where it keeps counts for
 * channelz, they are counted there as well.
 *
 * @returns reports the end of a call on a connection
 */
function endReporter(server: Server): FastPathContext['onEnd'] {
  const touch = idleTimeUpdater(server);
  const countCall = channelzCounter(server);
  if (countCall === null) return touch;
  return (session, code) => {
    touch(session);
    countCall(session, code === Code.OK);
  };
}

/** @returns resets the idle time of a connection */
function idleTimeUpdater(server: Server): (session: Http2Session | undefined) => void {
  const { sessionIdleTimeouts: idleTimes } = server as unknown as {
    sessionIdleTimeouts?: Map<ServerHttp2Session, { lastIdle: number }>;
  };
  if (!(idleTimes instanceof Map))
    throw new Error(
      'this version of @grpc/grpc-js counts idle time elsewhere; change grpc/fast-path/fast-path.ts',
    );
  return (session) => {
    const idleTime = idleTimes.get(session as ServerHttp2Session);
    if (idleTime) idleTime.lastIdle = Date.now();
  };
}
