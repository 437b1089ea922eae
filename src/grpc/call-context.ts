import type { Metadata, StatusObject } from '@grpc/grpc-js';

import type { Caller } from '../domain/caller.ts';
import type { DenialReason } from './ext-authz/denial.ts';
import type { ReasonName } from './status.ts';
import type { OpenStreams } from './stream-share.ts';

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
  readonly hold: (kind: keyof OpenStreams) => boolean;
  /** Ends the call at once with our own status, whatever its handler still does. Does nothing after the first end. */
  readonly end: (status: StatusObject) => void;
  /** Who was let in; null for a public method, where nobody looks. */
  caller: Caller | null;
  /** Set when the call was refused. */
  reason?: ReasonName | DenialReason | undefined;
  /** Why it was refused, or the fault behind an INTERNAL: for the log only. */
  cause?: unknown;
  /** Set when the answer is OK although there was nothing to do, which anybody can bring about. */
  didNothing?: boolean;
  /** Set when the answer, whatever its code, hides a fault of ours or of the operator. */
  isFault?: boolean;
}

/** Why a call's signal is aborted: without it each call would make an error with a stack for nobody to read. */
export const callEnded = new Error('the call has ended');

const contexts = new WeakMap<Metadata, CallContext>();

/** Ties a context to its call's metadata, the one object that interceptors and handlers both see. */
export function attachContext(metadata: Metadata, context: CallContext): void {
  contexts.set(metadata, context);
}

export function contextOf(metadata: Metadata): CallContext {
  const context = contexts.get(metadata);
  if (!context) throw new Error('the call did not pass the call boundary');
  return context;
}
