import type { Caller } from '../domain/caller.ts';
import { type CallOrigin, notedUserAgent, type OperationCall } from '../domain/operation-call.ts';
import type { CallContext } from './call-context.ts';
import { forwardedClient } from '../net/forwarded-for.ts';
import { callerAddress, peerAddress, peerIp } from '../net/peer-address.ts';

/** The call as a handler sees it, apart from the request. */
export interface Call extends OperationCall {
  /** The authenticated caller; null for a public method, which authenticates nobody. */
  readonly caller: Caller | null;
  /** The raw `authorization` metadata, one entry for each occurrence. */
  readonly authorization: readonly string[];
  /** The names of the verified client certificate; null without one. */
  readonly clientNames: readonly string[] | null;
  /** Logs a refusal that the method returns as a response. `isFault` marks faults of Postern or its configuration. */
  noteRefusal(reason: NonNullable<CallContext['reason']>, cause: unknown, isFault: boolean): void;
  /** For a method that always returns OK: records that the call changed nothing. */
  noteNoOp(): void;
}

/** A call in the guard, before its handler. */
export interface GuardedCall extends Omit<Call, 'caller'> {
  readonly path: string;
  readonly peer: string;
  /** Set by the guard after authentication. */
  caller: Caller | null;
  /** Set when the caller authenticated as a service account, so that its `client.address` is trusted (L12). */
  isFromService: boolean;
}

/** The caller of a method that is not public. @throws Error when the method table declares the method public */
export function callerOf(call: Call): Caller {
  if (!call.caller)
    throw new Error('the handler needs a caller, but the method table declares its method public');
  return call.caller;
}

/**
 * Where a call comes from. Behind a trusted proxy the address is the one that `x-forwarded-for` shows (H08).
 *
 * @param forwardedFor the `x-forwarded-for` headers, in the order of the request
 */
export function originOf(
  { requestId, peer, isTrustedProxy }: Pick<CallContext, 'requestId' | 'peer' | 'isTrustedProxy'>,
  userAgent: unknown,
  forwardedFor: readonly string[],
): CallOrigin {
  const isTrustedForwarder = isTrustedProxy(peerIp(peer) ?? '');
  const client = isTrustedForwarder ? forwardedClient(forwardedFor, isTrustedProxy) : null;
  return {
    requestId,
    address: client === null ? peerAddress(peer) : callerAddress(client),
    userAgent: typeof userAgent === 'string' ? notedUserAgent(userAgent) : null,
    isTrustedForwarder,
  };
}
