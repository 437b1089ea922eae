import type { ServerUnaryCall } from '@grpc/grpc-js';

import type { Caller } from '../domain/caller.ts';
import type { CallOrigin } from '../domain/operation-call.ts';
import { type Call, type GuardedCall, originOf } from '../rpc/call.ts';
import type { CallContext } from '../rpc/call-context.ts';
import { CALL_STORE_LIMIT_MS } from '../rpc/time-limits.ts';
import { contextOf } from './attached-context.ts';

type InterceptedCall = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getDeadline'>;

/** The `Call` of a handler, made from a grpc-js call. */
export class GrpcCall implements Call, GuardedCall {
  readonly deadlineMs: number;
  readonly storeDeadlineMs: number;
  /** Set for a caller with the credential of a service, whose `client.address` is trusted (L12). */
  isFromService = false;
  readonly #call: InterceptedCall;

  /**
   * @param limitMs the time limit of the method, ms; null for a stream without one
   * @param storeLimitMs the time limit of all uses of the database, ms; null where each use has its own limit
   */
  constructor(
    call: InterceptedCall,
    limitMs: number | null,
    storeLimitMs: number | null = CALL_STORE_LIMIT_MS,
  ) {
    this.#call = call;
    const callerDeadlineMs = Number(call.getDeadline());
    const nowMs = Date.now();
    this.deadlineMs = Math.min(callerDeadlineMs, limitMs === null ? Infinity : nowMs + limitMs);
    // A stream may last long in total. Each single use of the database still has the standard limit.
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
    const { metadata } = this.#call;
    const forwardedFor = metadata.get('x-forwarded-for').map(String);
    const origin = originOf(contextOf(metadata), metadata.get('user-agent')[0], forwardedFor);
    return this.isFromService ? { ...origin, isTrustedForwarder: true } : origin;
  }

  get authorization(): readonly string[] {
    return this.#call.metadata.get('authorization').map(String);
  }

  get clientNames(): readonly string[] | null {
    return contextOf(this.#call.metadata).clientNames();
  }

  noteRefusal(reason: NonNullable<CallContext['reason']>, cause: unknown, isFault: boolean): void {
    Object.assign(contextOf(this.#call.metadata), { reason, cause, isFault });
  }

  noteNoOp(): void {
    contextOf(this.#call.metadata).isNoOp = true;
  }
}
