import { presentableText } from '../../rpc/rejection-status.ts';
import { Code } from '../../rpc/status-code.ts';
import { Status } from '../../generated/google/rpc/status.ts';
import { PREFIX_BYTES } from '../../rpc/encoded-message.ts';
import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';
import type { Answer } from '../answer.ts';
import type { HttpCall } from '../http-call.ts';
import { decompressed, requireSupported } from './gzip.ts';
import {
  type EncodedOutcome,
  type Encoding,
  invalidRequest,
  type Metadata,
  retryAfter,
  ProtocolFault,
  type RpcProtocol,
  unpaddedBase64,
} from './rpc-protocol.ts';

const COMPRESSED_FLAG = 1;
const TRAILERS_FLAG = 0x80;
const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const MS_PER_UNIT: Readonly<Record<string, number>> = {
  H: 3.6e6,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** gRPC-Web: messages and trailers are frames of the body, and the HTTP status is always 200. */
export class GrpcWebProtocol implements RpcProtocol {
  readonly encoding: Encoding;
  readonly #contentType: string;

  /** @param contentType that of the request, which is also that of the response */
  constructor(encoding: Encoding, contentType: string) {
    this.encoding = encoding;
    this.#contentType = contentType;
  }

  begin(call: HttpCall): void {
    const timeout = call.request.headers['grpc-timeout'];
    if (timeout === undefined) return;
    const [, amount, unit = ''] = TIMEOUT.exec(String(timeout)) ?? [];
    if (amount === undefined)
      throw invalidRequest('grpc-timeout', 'write a number of at most 8 digits and one of H, M, S, m, u, n');
    call.limitTo(Number(amount) * (MS_PER_UNIT[unit] ?? 0));
  }

  async read(call: HttpCall): Promise<Buffer> {
    const body = await call.readBody(PREFIX_BYTES + MAX_MESSAGE_BYTES);
    if (body.length === 0)
      throw new ProtocolFault(Code.UNIMPLEMENTED, 'the call has no request message; send one');
    const end = body.length < PREFIX_BYTES ? Infinity : PREFIX_BYTES + body.readUInt32BE(1);
    if (body.length > end)
      throw new ProtocolFault(Code.UNIMPLEMENTED, 'the call has more than one request message; send one');
    if (body.length < end)
      throw invalidRequest(
        '',
        'the body must be one frame: a byte of flags, four of the length, and the message',
      );
    const flags = body[0] ?? 0;
    const message = body.subarray(PREFIX_BYTES);
    const coding = call.request.headers['grpc-encoding'] ?? 'identity';
    requireSupported(coding, 'grpc-encoding');
    if (flags === 0) return message;
    if (flags !== COMPRESSED_FLAG) throw invalidRequest('', 'the frame has flags that a request cannot have');
    // The description of compression in gRPC prescribes INTERNAL.
    if (coding === 'identity')
      throw new ProtocolFault(
        Code.INTERNAL,
        'the message is compressed, but grpc-encoding is not gzip',
        Code.INVALID_ARGUMENT,
      );
    return decompressed(message, coding, 'grpc-encoding');
  }

  answer(outcome: EncodedOutcome): Answer {
    const isError = 'error' in outcome;
    const frames = isError ? [] : [frame(0, Buffer.from(outcome.body))];
    const trailers = { ...outcome.trailers, ...statusTrailers(outcome) };
    frames.push(frame(TRAILERS_FLAG, Buffer.from(headerLines(trailers))));
    return {
      status: 200,
      headers: {
        ...outcome.headers,
        'content-type': this.#contentType,
        ...(isError && retryAfter(outcome.error)),
      },
      body: Buffer.concat(frames),
    };
  }
}

function statusTrailers(outcome: EncodedOutcome): Metadata {
  if (!('error' in outcome)) return { 'grpc-status': ['0'] };
  const { code, message, details } = outcome.error;
  const status = { code, message, details: [...details] };
  return {
    'grpc-status': [String(code === Code.OK ? Code.UNKNOWN : code)],
    'grpc-message': [encodeURI(presentableText(message))],
    ...(details.length > 0 && {
      'grpc-status-details-bin': [unpaddedBase64(Buffer.from(Status.encode(status).finish()))],
    }),
  };
}

function headerLines(headers: Metadata): string {
  return Object.entries(headers)
    .flatMap(([name, values]) => values.map((value) => `${name}: ${value}\r\n`))
    .join('');
}

function frame(flags: number, content: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix[0] = flags;
  prefix.writeUInt32BE(content.length, 1);
  return Buffer.concat([prefix, content]);
}
