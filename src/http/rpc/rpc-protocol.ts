import type { Any } from '../../generated/google/protobuf/any.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Code } from '../../rpc/status-code.ts';
import type { Answer } from '../answer.ts';
import type { HttpCall } from '../http-call.ts';

/** The encoding of messages. */
export type Encoding = 'json' | 'proto';

/** A refusal in the form of `google.rpc.Status`. */
export interface RpcError {
  readonly code: Code;
  readonly message: string;
  readonly details: readonly Any[];
  readonly retryAfterMs?: number | undefined;
}

/** Headers, or trailers, which some protocols send after the message. */
export type Metadata = Readonly<Record<string, string[]>>;

/** How a call ended. */
export type RpcOutcome = (
  | {
      /** The response in binary form. */
      readonly message: Uint8Array;
      /** Whether other calls get the same bytes, so that it pays to keep their JSON form. */
      readonly isShared?: boolean;
    }
  | { readonly error: RpcError }
) & { readonly headers?: Metadata; readonly trailers?: Metadata };

/** An outcome whose message is in the encoding of the request. */
export type EncodedOutcome = ({ readonly body: Uint8Array | string } | { readonly error: RpcError }) & {
  readonly headers?: Metadata | undefined;
  readonly trailers?: Metadata | undefined;
};

/** One form of RPCs on the wire. */
export interface RpcProtocol {
  readonly encoding: Encoding;
  /** Applies the caller's time limit to the call. @throws Rejected for headers that break the protocol */
  begin(call: HttpCall): void;
  /** The request message. @throws Rejected for a body that breaks the protocol */
  read(call: HttpCall): Promise<Buffer>;
  /** The response in this form. */
  answer(outcome: EncodedOutcome): Answer;
}

/** A header or a body that breaks the protocol. @param field the name of the header; empty for the body */
export function invalidRequest(field: string, description: string, options?: ErrorOptions): Rejected {
  return new Rejected({ kind: 'field-invalid', violations: [{ field, description }] }, options);
}

/** `retry-after` in whole seconds; nothing for an error that says no time. */
export function retryAfter({ retryAfterMs }: RpcError): Record<string, string> {
  return retryAfterMs === undefined
    ? {}
    : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) };
}

/** A request of a form for which the protocols prescribe the code of the refusal. */
export class ProtocolFault extends Error {
  readonly code: Code;
  /** The code in the log and the metrics: an INTERNAL there is a fault of Postern. */
  readonly reportedCode: Code;

  constructor(code: Code, message: string, reportedCode = code) {
    super(message);
    this.name = 'ProtocolFault';
    this.code = code;
    this.reportedCode = reportedCode;
  }
}

/** Binary values in headers and JSON. Receivers accept padding, but the protocols ask senders to leave it out. */
export function unpaddedBase64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
