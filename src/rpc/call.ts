import type { Caller } from '../domain/caller.ts';
import type { CallOrigin, OperationCall } from '../domain/operation-call.ts';
import type { CallContext } from './call-context.ts';
import { peerAddress, peerIp } from '../net/peer-address.ts';

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
  noteNoOp(): void;
}

/** A call while the guard stands before its handler. */
export interface GuardedCall extends Omit<Call, 'caller'> {
  readonly path: string;
  readonly peer: string;
  /** Set once the guard knows who calls. */
  caller: Caller | null;
  /** Set for a caller with a service's credential, which is believed in what it says of its own caller (L12). */
  isOfService: boolean;
}

/** Who was let in to a method that is not public. */
export function callerOf(call: Call): Caller {
  if (!call.caller)
    throw new Error('the method is public in the method table, but its handler needs the caller');
  return call.caller;
}

/** Of what a caller says of itself, the audit trail keeps no more. */
const MAX_USER_AGENT_LENGTH = 256;

export function originOf(
  { requestId, peer, isTrustedProxy }: Pick<CallContext, 'requestId' | 'peer' | 'isTrustedProxy'>,
  userAgent: unknown,
): CallOrigin {
  return {
    requestId,
    address: peerAddress(peer),
    userAgent: typeof userAgent === 'string' ? userAgent.slice(0, MAX_USER_AGENT_LENGTH) : null,
    isTrustedForwarder: isTrustedProxy(peerIp(peer) ?? ''),
  };
}
