import type { Rejected } from '../../domain/rejection.ts';
import { presentableText, statusOfError } from '../../rpc/rejection-status.ts';
import { Code } from '../../rpc/status-code.ts';
import { statusDetails } from '../../rpc/status-details.ts';
import { text } from '../answer.ts';
import type { CallAnswer, Endpoint, HttpCall } from '../http-call.ts';
import { ConnectProtocol, connectError, connectStreamError } from './connect-protocol.ts';
import { GrpcWebProtocol } from './grpc-web-protocol.ts';
import type { MethodJson } from './json-codec.ts';
import {
  invalidRequest,
  type RpcError,
  type RpcOutcome,
  type RpcProtocol,
  ProtocolFault,
} from './rpc-protocol.ts';

/** A method that is served over HTTP. */
export interface RpcMethod {
  readonly path: string;
  readonly deadlineMs: number;
  /** Whether GET is allowed. */
  readonly isSafe: boolean;
  /** The request, from its binary form. @throws Rejected */
  readonly decode: (bytes: Buffer) => unknown;
  /** @throws Rejected; any other error becomes INTERNAL */
  run(request: unknown, call: HttpCall): RpcOutcome | Promise<RpcOutcome>;
}

/** Loads the JSON codec of a method. */
export type LoadJson = (path: string) => Promise<MethodJson>;

const ACCEPTED_TYPES = [
  'application/json',
  'application/proto',
  'application/grpc-web',
  'application/grpc-web+proto',
  'application/grpc-web+json',
].join(', ');

/** One unary method, in the protocols and encodings that the request chooses by its content type. */
export class RpcEndpoint implements Endpoint {
  readonly path: string;
  readonly deadlineMs: number;
  readonly #method: RpcMethod;
  readonly #loadJson: LoadJson;
  #json: MethodJson | null = null;
  /** The JSON form of responses that many calls share. */
  readonly #jsonOfShared = new WeakMap<Uint8Array, string>();

  constructor(method: RpcMethod, loadJson: LoadJson) {
    this.path = method.path;
    this.deadlineMs = method.deadlineMs;
    this.#method = method;
    this.#loadJson = loadJson;
  }

  async answer(call: HttpCall): Promise<CallAnswer> {
    const protocol = protocolOf(call, this.#method.isSafe);
    if ('status' in protocol) return protocol;
    try {
      protocol.begin(call);
      const body = await protocol.read(call);
      const json = protocol.encoding === 'json' ? (this.#json ??= await this.#loadJson(this.path)) : null;
      const { decode } = this.#method;
      const running = this.#method.run(json ? json.requestFromJson(body, decode) : decode(body), call);
      const outcome = running instanceof Promise ? await call.beforeDeadline(running) : running;
      if ('error' in outcome) return { ...protocol.answer(outcome), code: outcome.error.code };
      const { message, headers, trailers } = outcome;
      const encoded = json ? this.#jsonOf(json, outcome) : message;
      return { ...protocol.answer({ body: encoded, headers, trailers }), code: Code.OK };
    } catch (error) {
      const refused = errorOf(error, call);
      const code = error instanceof ProtocolFault ? error.reportedCode : refused.code;
      return { ...protocol.answer({ error: refused }), code };
    }
  }

  #jsonOf(json: MethodJson, { message, isShared }: { message: Uint8Array; isShared?: boolean }): string {
    if (isShared !== true) return json.responseToJson(message);
    const known = this.#jsonOfShared.get(message);
    if (known !== undefined) return known;
    const text = json.responseToJson(message);
    this.#jsonOfShared.set(message, text);
    return text;
  }
}

/** Refuses every call: for streaming methods, and for paths without a method. */
export class UnservedEndpoint implements Endpoint {
  readonly path: string;
  readonly deadlineMs = 0;
  readonly #error: RpcError;
  readonly #httpStatus: number;

  constructor(path: string, httpStatus: number, message: string) {
    this.path = path;
    this.#httpStatus = httpStatus;
    this.#error = { code: Code.UNIMPLEMENTED, message, details: [] };
  }

  answer(call: HttpCall): CallAnswer {
    const { code } = this.#error;
    const contentType = call.request.headers['content-type'] ?? '';
    if (/^application\/connect\+(?:json|proto)$/.test(contentType))
      return { ...connectStreamError(this.#error, contentType), code };
    const protocol = grpcWebProtocol(contentType);
    return {
      ...(protocol?.answer({ error: this.#error }) ?? connectError(this.#error, this.#httpStatus)),
      code,
    };
  }
}

/** The protocol of a request, or the refusal of a request in none. */
function protocolOf(call: HttpCall, isSafe: boolean): RpcProtocol | CallAnswer {
  const { method, url = '', headers } = call.request;
  if (method === 'GET' && isSafe) {
    const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
    const encoding = query.get('encoding');
    if (encoding === 'json' || encoding === 'proto') return new ConnectProtocol(encoding, query);
    return refusal(
      call,
      400,
      invalidRequest('encoding', 'write encoding=json or encoding=proto into the query'),
    );
  }
  if (method !== 'POST') {
    const allowed = isSafe ? 'GET, POST' : 'POST';
    const answer = refusal(call, 405, invalidRequest('', `this method is called with ${allowed}`));
    return { ...answer, headers: { ...answer.headers, allow: allowed } };
  }
  const contentType = headers['content-type'] ?? '';
  const protocol = connectProtocol(contentType) ?? grpcWebProtocol(contentType);
  if (protocol) return protocol;
  // Forms and plain text are what a page of any origin can send without a preflight.
  const answer = refusal(call, 415, invalidRequest('content-type', `send one of ${ACCEPTED_TYPES}`));
  return { ...answer, headers: { ...answer.headers, 'accept-post': ACCEPTED_TYPES } };
}

function connectProtocol(contentType: string): RpcProtocol | null {
  if (contentType === 'application/json') return new ConnectProtocol('json', null);
  const [, encoding] = /^application\/(json|proto)(?: *; *charset="?utf-8"?)?$/i.exec(contentType) ?? [];
  return encoding === undefined ? null : new ConnectProtocol(isJson(encoding) ? 'json' : 'proto', null);
}

function grpcWebProtocol(contentType: string): RpcProtocol | null {
  const match = /^application\/grpc-web(?:\+(json|proto))?$/i.exec(contentType);
  return match && new GrpcWebProtocol(isJson(match[1] ?? 'proto') ? 'json' : 'proto', contentType);
}

function isJson(encoding: string): boolean {
  return encoding.toLowerCase() === 'json';
}

/** A refusal of a request that is in no protocol, for the person who sent it. Clients go by the HTTP status. */
function refusal(call: HttpCall, httpStatus: number, error: Rejected): CallAnswer {
  const { code, reason, message } = statusOfError(error, call);
  return { ...text(httpStatus, `${reason}: ${message}\n`), code };
}

/** What a call that failed is answered with. */
export function errorOf(error: unknown, call: HttpCall): RpcError {
  if (error instanceof ProtocolFault) return { code: error.code, message: error.message, details: [] };
  const status = statusOfError(error, call);
  const { code, message, retryAfterMs } = status;
  return { code, message: presentableText(message), details: statusDetails(status), retryAfterMs };
}
