import type { Tracer } from '../../domain/tracer.ts';
import type { CallContext, SampledSpan } from '../../rpc/call-context.ts';

/** Traces the calls of a process. */
export interface Tracing extends Tracer {
  startCall(call: TracedCall, header: HeaderReader): CallTrace;
}

/** Returns the values of a request header, none when it was not sent. */
export type HeaderReader = (name: string) => readonly string[];

/** What is known of a call when it begins. */
export interface TracedCall {
  /** Of a method, such as `/postern.v1.AuthService/Login`, or `unknown`. */
  readonly path: string;
  readonly system: 'grpc' | 'connectrpc';
  /** Set for an endpoint that is no RPC, such as those of OAuth. The route is one of a fixed list. */
  readonly http?: { readonly method: string; readonly route: string; readonly scheme: 'http' | 'https' };
  /** The peer in the format of grpc-js. */
  readonly peer: string;
  /** Where the call arrived; without a port on a unix socket. */
  readonly server?: { readonly address: string; readonly port?: number } | undefined;
  readonly protocolVersion: '1.1' | '2';
}

/** How a call ended. */
export interface FinishedSpan {
  readonly code: number;
  readonly httpStatus?: number;
}

/** The trace of one call. */
export interface CallTrace {
  /** The ids for logs and exemplars; undefined when the trace is not sampled. */
  readonly sampled: SampledSpan | undefined;
  /** Runs work of the call; spans started in it become children of the call's span. */
  run<T>(work: () => T): T;
  /** Ends the span. Idempotent. */
  end(finished: FinishedSpan, context: Pick<CallContext, 'path' | 'requestId' | 'reason'>): void;
}
