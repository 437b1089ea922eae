import { BadRequest, ErrorInfo, RetryInfo } from '../../generated/google/rpc/error_details.ts';
import type { Any } from '../../generated/google/protobuf/any.ts';
import { Code } from '../../rpc/status-code.ts';
import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';
import type { Answer } from '../answer.ts';
import type { HttpCall } from '../http-call.ts';
import { decompressed } from './gzip.ts';
import {
  type EncodedOutcome,
  type Encoding,
  invalidRequest,
  type Metadata,
  retryAfter,
  type RpcError,
  type RpcProtocol,
  unpaddedBase64,
} from './rpc-protocol.ts';

/** The names of the codes in the Connect protocol, and their HTTP statuses (its section "Error codes"). */
const CODES: Readonly<Record<Code, readonly [name: string, httpStatus: number]>> = {
  [Code.OK]: ['unknown', 500],
  [Code.CANCELLED]: ['canceled', 499],
  [Code.UNKNOWN]: ['unknown', 500],
  [Code.INVALID_ARGUMENT]: ['invalid_argument', 400],
  [Code.DEADLINE_EXCEEDED]: ['deadline_exceeded', 504],
  [Code.NOT_FOUND]: ['not_found', 404],
  [Code.ALREADY_EXISTS]: ['already_exists', 409],
  [Code.PERMISSION_DENIED]: ['permission_denied', 403],
  [Code.RESOURCE_EXHAUSTED]: ['resource_exhausted', 429],
  [Code.FAILED_PRECONDITION]: ['failed_precondition', 400],
  [Code.ABORTED]: ['aborted', 409],
  [Code.OUT_OF_RANGE]: ['out_of_range', 400],
  [Code.UNIMPLEMENTED]: ['unimplemented', 501],
  [Code.INTERNAL]: ['internal', 500],
  [Code.UNAVAILABLE]: ['unavailable', 503],
  [Code.DATA_LOSS]: ['data_loss', 500],
  [Code.UNAUTHENTICATED]: ['unauthenticated', 401],
};

/** The unary form of the Connect protocol: the body is the message, the HTTP status that of the call. */
export class ConnectProtocol implements RpcProtocol {
  readonly encoding: Encoding;
  readonly #query: URLSearchParams | null;

  /** @param query null for POST */
  constructor(encoding: Encoding, query: URLSearchParams | null) {
    this.encoding = encoding;
    this.#query = query;
  }

  begin(call: HttpCall): void {
    const { headers } = call.request;
    const timeout = headers['connect-timeout-ms'];
    if (typeof timeout === 'string') {
      if (!/^\d{1,10}$/.test(timeout))
        throw invalidRequest('connect-timeout-ms', 'write a number of milliseconds with at most 10 digits');
      call.limitTo(Number(timeout));
    }
    const version = this.#query ? this.#query.get('connect') : headers['connect-protocol-version'];
    const expected = this.#query ? 'v1' : '1';
    if (version !== undefined && version !== null && version !== expected)
      throw invalidRequest(
        this.#query ? 'connect' : 'connect-protocol-version',
        `the only version is ${expected}`,
      );
  }

  read(call: HttpCall): Promise<Buffer> {
    const body = call.readBody(MAX_MESSAGE_BYTES);
    const query = this.#query;
    if (query !== null) return body.then(() => messageIn(query));
    const coding = call.request.headers['content-encoding'];
    return coding === undefined
      ? body
      : body.then((compressed) => decompressed(compressed, coding, 'content-encoding'));
  }

  answer(outcome: EncodedOutcome): Answer {
    const { trailers } = outcome;
    const headers = trailers ? { ...outcome.headers, ...prefixed(trailers) } : outcome.headers;
    if ('error' in outcome) {
      const answer = connectError(outcome.error);
      return { ...answer, headers: { ...headers, ...answer.headers } };
    }
    const type = { 'content-type': CONTENT_TYPES[this.encoding] };
    return { status: 200, headers: headers ? { ...headers, ...type } : type, body: outcome.body };
  }
}

const CONTENT_TYPES = { json: 'application/json', proto: 'application/proto' };

/** The message in the query of a GET. */
async function messageIn(query: URLSearchParams): Promise<Buffer> {
  const message = query.get('message');
  if (message === null) throw invalidRequest('message', 'put the message into the query');
  const isBase64 = query.get('base64') === '1';
  if (isBase64 && !/^[\w+/-]*={0,2}$/.test(message)) throw invalidRequest('message', 'this is not base64');
  const bytes = Buffer.from(message, isBase64 ? 'base64url' : 'utf8');
  return decompressed(bytes, query.get('compression') ?? undefined, 'compression');
}

/** A refusal is JSON, whatever the encoding of the messages. @param httpStatus where it is not that of the code */
export function connectError(error: RpcError, httpStatus?: number): Answer {
  const [, status] = CODES[error.code];
  return {
    status: httpStatus ?? status,
    headers: { 'content-type': 'application/json', ...retryAfter(error) },
    body: JSON.stringify(errorJson(error)),
  };
}

const END_OF_STREAM_FLAG = 2;

/** A refusal in the form of a stream: in the frame that ends it. */
export function connectStreamError(error: RpcError, contentType: string): Answer {
  const json = Buffer.from(JSON.stringify({ error: errorJson(error) }));
  const body = Buffer.alloc(5 + json.length);
  body[0] = END_OF_STREAM_FLAG;
  body.writeUInt32BE(json.length, 1);
  json.copy(body, 5);
  return { status: 200, headers: { 'content-type': contentType, ...retryAfter(error) }, body };
}

function errorJson({ code, message, details }: RpcError): object {
  const [name] = CODES[code];
  return { code: name, message, ...(details.length > 0 && { details: details.map(detailJson) }) };
}

function detailJson({ typeUrl, value }: Any): object {
  const type = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
  const debug = readable[type]?.(value);
  return { type, value: unpaddedBase64(value), ...(debug !== undefined && { debug }) };
}

/** The details of Postern's refusals, for a person who reads the response. Programs decode `value`. */
const readable: Readonly<Record<string, ((value: Buffer) => object) | undefined>> = {
  'google.rpc.ErrorInfo'(value) {
    const { reason, domain, metadata } = ErrorInfo.decode(value);
    return { reason, domain, ...(Object.keys(metadata).length > 0 && { metadata }) };
  },
  'google.rpc.RetryInfo'(value) {
    const { seconds, nanos } = RetryInfo.decode(value).retryDelay ?? { seconds: 0, nanos: 0 };
    return { retryDelay: `${seconds + nanos / 1e9}s` };
  },
  'google.rpc.BadRequest'(value) {
    const { fieldViolations } = BadRequest.decode(value);
    return { fieldViolations: fieldViolations.map(({ field, description }) => ({ field, description })) };
  },
};

function prefixed(trailers: Metadata): Metadata {
  return Object.fromEntries(Object.entries(trailers).map(([name, values]) => [`trailer-${name}`, values]));
}
