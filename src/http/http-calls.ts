import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

import { isListedOrigin, preflightHeaders, responseHeaders } from './cors.ts';
import { type CallAnswer, type Endpoint, HttpCall, type HttpCallContext } from './http-call.ts';
import type { TracedCall, Tracing } from '../observability/tracing/tracing.ts';
import { Code } from '../rpc/status-code.ts';

interface HttpCallsOptions {
  /** The endpoint at a path; undefined where there is none. */
  readonly find: (path: string) => Endpoint | undefined;
  /** The origins whose pages may call: exact, such as `https://app.example.com`. */
  readonly corsOrigins: readonly string[];
  readonly isTrustedProxy: HttpCallContext['isTrustedProxy'];
  readonly onFinish: HttpCallContext['onFinish'];
  /** Absent when calls are not traced. */
  readonly tracing?: Pick<Tracing, 'startCall'> | undefined;
}

/** Runs the calls that come over HTTP, until the process stops. */
export class HttpCalls {
  readonly find: HttpCallsOptions['find'];
  readonly #corsOrigins: ReadonlySet<string>;
  readonly #context: HttpCallContext;
  readonly #tracing: HttpCallsOptions['tracing'];
  #throughUnixSocket = false;
  #stopping = false;
  #running = 0;
  #onIdle: () => void = () => undefined;

  constructor({ find, corsOrigins, isTrustedProxy, onFinish, tracing }: HttpCallsOptions) {
    this.find = find;
    this.#corsOrigins = new Set(corsOrigins);
    this.#tracing = tracing;
    this.#context = {
      throughUnixSocket: () => this.#throughUnixSocket,
      isTrustedProxy,
      isStopping: () => this.#stopping,
      onFinish,
    };
  }

  /** Called when the listener is bound. */
  bound(throughUnixSocket: boolean): void {
    this.#throughUnixSocket = throughUnixSocket;
  }

  serve(endpoint: Endpoint, request: IncomingMessage, response: ServerResponse): void {
    const { origin } = request.headers;
    const hasCors = this.#corsOrigins.size > 0 && endpoint.isSameOriginOnly !== true;
    if (hasCors && isListedOrigin(this.#corsOrigins, origin) && isPreflight(request)) {
      response.writeHead(204, preflightHeaders(origin)).end();
      request.resume();
      return;
    }
    const call = new HttpCall(request, endpoint, this.#context);
    const trace = this.#tracing?.startCall(tracedCall(call), (name) => request.headersDistinct[name] ?? []);
    call.trace = trace?.sampled;
    this.#running += 1;
    response.once('close', () => {
      trace?.end({ code: Code.CANCELLED }, call);
      call.finish(Code.CANCELLED);
      this.#running -= 1;
      if (this.#running === 0) this.#onIdle();
    });
    const send = (answer: CallAnswer) => {
      trace?.end({ code: answer.code, httpStatus: answer.status }, call);
      this.#send(answer, call, response, hasCors);
    };
    const answer = trace ? trace.run(() => endpoint.answer(call)) : endpoint.answer(call);
    if (answer instanceof Promise) void answer.then(send);
    else send(answer);
  }

  #send(
    { status, headers, body, code }: CallAnswer,
    call: HttpCall,
    response: ServerResponse,
    hasCors: boolean,
  ): void {
    if (call.isFinished) return;
    response.writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': call.requestId,
      ...(hasCors && responseHeaders(this.#corsOrigins, call.request.headers.origin)),
      // A client that keeps its connection would call this process again.
      ...(this.#stopping && { connection: 'close' }),
      ...headers,
    });
    call.finish(code);
    response.end(body);
    call.request.resume();
  }

  /** After `delayMs` refuses new calls. Resolves when the running ones have ended, or after `graceMs`. */
  async drain({ delayMs, graceMs }: { delayMs: number; graceMs: number }): Promise<void> {
    if (delayMs > 0) await pause(delayMs);
    this.#stopping = true;
    if (this.#running === 0) return;
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve));
    await Promise.race([idle, pause(graceMs, undefined, { ref: false })]);
  }
}

/** A path that is no RPC has an endpoint of its own, so it is one of a fixed list. */
function tracedCall({ request, path, peer }: HttpCall): TracedCall {
  const { method = '', url = '', socket, headers } = request;
  const [route = ''] = url.split('?');
  const { localAddress, localPort } = socket;
  const isRpc = path === 'unknown' || path === route;
  return {
    path,
    system: headers['content-type']?.startsWith('application/grpc-web') ? 'grpc' : 'connectrpc',
    ...(!isRpc && { http: { method, route, scheme: 'encrypted' in socket ? 'https' : 'http' } }),
    peer,
    server:
      localAddress === undefined || localPort === undefined
        ? undefined
        : { address: localAddress, port: localPort },
    protocolVersion: '1.1',
  };
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}
