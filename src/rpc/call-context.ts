import type { Caller } from '../domain/caller.ts';
import type { DenialReason, ReasonName } from './reasons.ts';
import type { RpcStatus } from './rpc-status.ts';
import type { Code } from './status-code.ts';

/** The kinds by which open streams are limited: of callers without a credential, and of subscribers of WatchTrust. */
export type StreamKind = 'anonymous' | 'watching';

/** The span of a call whose trace is sampled: 32 and 16 hexadecimal digits. */
export interface SampledSpan {
  readonly traceId: string;
  readonly spanId: string;
}

/** The state of a call apart from its messages, from the request headers to the status. */
export interface CallContext {
  readonly requestId: string;
  readonly path: string;
  readonly peer: string;
  readonly throughUnixSocket: boolean;
  /** Whether the peer with this IP address is a proxy whose `client.address` is trusted (L12). */
  readonly isTrustedProxy: (address: string) => boolean;
  /** The URIs and DNS names of the verified client certificate; null without one. */
  readonly clientNames: () => readonly string[] | null;
  readonly startedAtMs: number;
  /** Aborts when the call ends, for any reason. Created on demand: most calls do not need it. */
  readonly signal: () => AbortSignal;
  /** Reserves a slot for a stream of this kind, until the stream closes; false when the limit is reached. */
  readonly reserveStream: (kind: StreamKind) => boolean;
  /** Ends the call at once with this status, even while its handler still runs. Does nothing if the call has ended. */
  readonly end: (status: RpcStatus) => void;
  /** The authenticated caller; null for a public method, which authenticates nobody. */
  caller: Caller | null;
  /** Set when the call was refused. */
  reason?: ReasonName | DenialReason | undefined;
  /** The error behind the refusal or the INTERNAL status; for the log only. */
  cause?: unknown;
  /** Set when the status is OK although the call changed nothing, which any caller can cause. */
  isNoOp?: boolean;
  /** Set when the trace of the call is sampled. */
  trace?: SampledSpan | undefined;
  /** Set when the cause is a fault of Postern or its configuration, whatever the status. */
  isFault?: boolean;
}

/** A refused credential whose call ended before the caller got the refusal. */
export interface RefusalAfterEnd extends Pick<FinishedCall, 'path' | 'peer' | 'requestId' | 'cause'> {
  readonly reason: ReasonName;
}

/** The abort reason of all calls. Shared, because the default reason would be a new error with a stack for each call. */
export const callEnded = new Error('the call has ended');

/** A call that has ended, for logs and metrics. */
export interface FinishedCall extends Omit<CallContext, 'signal' | 'reserveStream' | 'end' | 'clientNames'> {
  /** The address that the call comes from, where the transport knows it behind a trusted proxy; otherwise it is the peer's. */
  readonly clientAddress?: string | null;
  readonly code: Code;
  readonly durationMs: number;
}

const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** The request id that the caller sent; undefined if it is absent or unsafe for logs. */
export function requestIdOf(sent: unknown): string | undefined {
  return typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : undefined;
}
