import type { ServerUnaryCall } from '@grpc/grpc-js';

import type { Caller } from '../domain/caller.ts';
import type { CallOrigin, OperationCall } from '../domain/call-origin.ts';
import { type CallContext, contextOf } from './call-context.ts';
import { peerAddress, peerIp } from './peer-address.ts';

/** What a handler sees of its call beside the request. */
export interface Call extends OperationCall {
  /** Who was let in; null for a public method, where nobody looks. */
  readonly caller: Caller | null;
  /** The raw `authorization` metadata, one entry for each time it was sent. */
  readonly authorization: readonly string[];
  /** The names of a verified client certificate; none without one. */
  readonly clientNames: readonly string[];
  /** For a method whose refusals are answers: puts one into the log. `isFault` marks what somebody has to mend. */
  noteRefusal(reason: NonNullable<CallContext['reason']>, cause: unknown, isFault: boolean): void;
  /** For a method that answers OK to whatever it is asked: there was nothing to do. */
  noteNothingDone(): void;
}

/** Who was let in to a method that is not public. */
export function callerOf(call: Call): Caller {
  if (!call.caller) throw new Error('the method table lets everybody in to a method that asks who calls');
  return call.caller;
}

/** Of what a caller says of itself, the audit trail keeps no more. */
const MAX_USER_AGENT_LENGTH = 256;

type GrpcCall = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getDeadline'>;

/** A caller of a writing RPC has its UNAVAILABLE within 2 s, from its arrival and over all that the call does. */
export const STORE_LIMIT_MS = 1_900;

export function originOf(
  { requestId, peer, isTrustedProxy }: Pick<CallContext, 'requestId' | 'peer' | 'isTrustedProxy'>,
  userAgent: unknown,
): CallOrigin {
  return {
    requestId,
    address: peerAddress(peer),
    userAgent: typeof userAgent === 'string' ? userAgent.slice(0, MAX_USER_AGENT_LENGTH) : null,
    mayVouch: isTrustedProxy(peerIp(peer) ?? ''),
  };
}

/** A grpc-js call as a budget. */
export class ServedCall implements Call {
  readonly deadlineMs: number;
  readonly storeDeadlineMs: number;
  /** Set for a caller with a service's credential, which is believed in what it says of its own caller (L12). */
  isOfService = false;
  readonly #call: GrpcCall;

  /** @param limitMs null for a stream without an end */
  constructor(call: GrpcCall, limitMs: number | null, storeLimitMs: number | null = STORE_LIMIT_MS) {
    this.#call = call;
    const callersDeadlineMs = Number(call.getDeadline());
    const nowMs = Date.now();
    this.deadlineMs = Math.min(callersDeadlineMs, limitMs === null ? Infinity : nowMs + limitMs);
    // A stream may take long in all; each of its uses of the database has the limit that all uses have.
    this.storeDeadlineMs = limitMs === null || storeLimitMs === null ? Infinity : nowMs + storeLimitMs;
  }

  get path(): string {
    return contextOf(this.#call.metadata).path;
  }

  get peer(): string {
    return contextOf(this.#call.metadata).peer;
  }

  get caller(): Caller | null {
    return contextOf(this.#call.metadata).caller;
  }

  set caller(caller: Caller | null) {
    contextOf(this.#call.metadata).caller = caller;
  }

  get signal(): AbortSignal {
    return contextOf(this.#call.metadata).signal();
  }

  get origin(): CallOrigin {
    const origin = originOf(contextOf(this.#call.metadata), this.#call.metadata.get('user-agent')[0]);
    return this.isOfService ? { ...origin, mayVouch: true } : origin;
  }

  get authorization(): readonly string[] {
    return this.#call.metadata.get('authorization').map(String);
  }

  get clientNames(): readonly string[] {
    return contextOf(this.#call.metadata).clientNames();
  }

  noteRefusal(reason: NonNullable<CallContext['reason']>, cause: unknown, isFault: boolean): void {
    Object.assign(contextOf(this.#call.metadata), { reason, cause, isFault });
  }

  noteNothingDone(): void {
    contextOf(this.#call.metadata).didNothing = true;
  }
}
