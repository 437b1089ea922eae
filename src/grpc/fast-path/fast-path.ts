import {
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';

import type { MethodDefinition, Server } from '@grpc/grpc-js';

import { FastCall, type FastMethod, type FastPathContext } from './fast-call.ts';
import { http2ServersOf } from '../grpc-js-internals.ts';
import { MAX_METADATA_BYTES } from '../limits.ts';
import type { UnaryHandler } from '../../rpc/handlers.ts';
import type { MethodRule } from '../../rpc/method-table.ts';

type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
) => void;

export interface FastPathOptions extends Omit<FastPathContext, 'touch'> {
  /** While false, everything goes the long way. */
  readonly isOpen: () => boolean;
}

const CONTENT_TYPES: ReadonlySet<unknown> = new Set(['application/grpc', 'application/grpc+proto']);
const TIMEOUT = /^[1-9]\d{0,7}[HMSm]$|^[1-9]\d{3,7}u$|^[1-9]\d{6,7}n$/;

/**
 * Answers the methods that the table calls hot on the HTTP/2 stream itself. grpc-js with its interceptors costs several
 * times what the verdict on a token costs that was seen before (`npm run bench`), and for calls of the ordinary form
 * nothing of it is needed: one uncompressed message there, one back. Whatever is out of the ordinary goes to grpc-js and
 * the call boundary as if nobody had looked at it, as every call of a server does that is stopping or traces.
 */
export class FastPath {
  readonly #methods = new Map<unknown, FastMethod>();
  readonly #options: FastPathOptions;

  constructor(options: FastPathOptions) {
    this.#options = options;
  }

  /** @throws Error for a method that is not open to everybody: the guard of callers stands on the long way only */
  add(
    method: MethodDefinition<unknown, unknown>,
    { access, audit, deadlineMs }: MethodRule,
    handler: UnaryHandler<unknown, unknown>,
  ): void {
    if (access !== 'public' || audit || deadlineMs === null)
      throw new Error(`the fast path cannot answer ${method.path}`);
    this.#methods.set(method.path, {
      path: method.path,
      decode: method.requestDeserialize,
      encode: method.responseSerialize,
      deadlineMs,
      handler,
    });
  }

  /** Takes its place before grpc-js on every listener of a bound server. */
  install(server: Server): void {
    const { isOpen, ...shared } = this.#options;
    const context: FastPathContext = { ...shared, touch: idleTimeUpdater(server) };
    for (const http2Server of http2ServersOf(server)) {
      const listeners = http2Server.listeners('stream') as StreamListener[];
      http2Server.removeAllListeners('stream');
      const fallback: StreamListener = (...call) => listeners.forEach((listener) => listener(...call));
      const answer: StreamListener = (...incoming) => {
        const [stream, headers, , rawHeaders] = incoming;
        if (headers[':method'] !== 'POST') {
          refuseMethod(stream);
          return;
        }
        const method = this.#methods.get(headers[':path']);
        if (method === undefined || !isOpen() || !isOrdinary(headers, rawHeaders)) fallback(...incoming);
        else new FastCall(method, stream, headers, context, () => fallback(...incoming));
      };
      // The types leave out the last argument.
      http2Server.on('stream', answer as Parameters<typeof http2Server.on>[1]);
    }
  }
}

/**
 * gRPC is POST and nothing else. grpc-js answers all of them, with an error of its own at HEAD, which has no body: anybody
 * could make faults that are none. The stream is closed, whatever else its caller would send: it passes no limit of open
 * streams (N15).
 */
function refuseMethod(stream: ServerHttp2Stream): void {
  stream.on('error', ignore);
  stream.respond({ ':status': 405, allow: 'POST' }, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}

/** A fault of the stream is followed by its close. */
function ignore(): void {}

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
 * grpc-js closes a connection that has been idle for long, by its own count of calls.
 *
 * @returns notes that a connection has just been of use
 */
function idleTimeUpdater(server: Server): (session: Http2Session | undefined) => void {
  const { sessionIdleTimeouts: times } = server as unknown as {
    sessionIdleTimeouts?: Map<ServerHttp2Session, { lastIdle: number }>;
  };
  if (!(times instanceof Map))
    throw new Error(
      'this version of @grpc/grpc-js counts idle time elsewhere; change grpc/fast-path/fast-path.ts',
    );
  return (session) => {
    const time = times.get(session as ServerHttp2Session);
    if (time) time.lastIdle = Date.now();
  };
}
