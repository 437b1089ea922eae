import type { Caller } from '../domain/caller.ts';
import type { DenialReason, ReasonName } from './reasons.ts';
import type { RpcStatus } from './rejection-status.ts';
import type { Code } from './status-code.ts';

/** What open streams count as: of callers without a credential, and of those who watch revocations. */
export type StreamKind = 'anonymous' | 'watching';

/** What is known of a call beyond its request, from its first header to its status. */
export interface CallContext {
  readonly requestId: string;
  readonly path: string;
  readonly peer: string;
  readonly throughUnixSocket: boolean;
  /** Whether a peer with this IP address is believed in what it says of its own callers (L12). */
  readonly isTrustedProxy: (address: string) => boolean;
  /** The URIs and DNS names of the client's certificate, if the connection has one that was verified. */
  readonly clientNames: () => readonly string[];
  readonly startedAtMs: number;
  /** Aborted when the call has ended, whoever ended it. Made when somebody asks: most calls end without it. */
  readonly signal: () => AbortSignal;
  /** Takes a place among the open streams of a kind, until this one is closed; false when there is none. */
  readonly reserveStream: (kind: StreamKind) => boolean;
  /** Ends the call at once with our own status, whatever its handler still does. Does nothing after the first end. */
  readonly end: (status: RpcStatus) => void;
  /** Who was let in; null for a public method, where nobody looks. */
  caller: Caller | null;
  /** Set when the call was refused. */
  reason?: ReasonName | DenialReason | undefined;
  /** Why it was refused, or the fault behind an INTERNAL: for the log only. */
  cause?: unknown;
  /** Set when the answer is OK although there was nothing to do, which anybody can bring about. */
  isNoOp?: boolean;
  /** Set when the answer, whatever its code, hides a fault of ours or of the operator. */
  isFault?: boolean;
}

/** A refused credential whose caller had left before it was known, or was to be told. */
export interface RefusalAfterEnd extends Pick<FinishedCall, 'path' | 'peer' | 'requestId' | 'cause'> {
  readonly reason: ReasonName;
}

/** Why a call's signal is aborted: without it each call would make an error with a stack for nobody to read. */
export const callEnded = new Error('the call has ended');

/** One ended call, for logs and metrics. */
export interface FinishedCall extends Omit<CallContext, 'signal' | 'reserveStream' | 'end' | 'clientNames'> {
  readonly code: Code;
  readonly durationMs: number;
}

const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** The id that a caller gave its call; undefined where it gave none, or one that is not fit for logs. */
export function requestIdOf(sent: unknown): string | undefined {
  return typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : undefined;
}
