import type { ServerUnaryCall } from '@grpc/grpc-js';

import type { Caller } from '../domain/caller.ts';
import type { CallOrigin } from '../domain/operation-call.ts';
import { type Call, type GuardedCall, originOf } from '../rpc/call.ts';
import type { CallContext } from '../rpc/call-context.ts';
import { STORE_LIMIT_MS } from '../rpc/time-limits.ts';
import { contextOf } from './attached-context.ts';

type InterceptedCall = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getDeadline'>;

/** A grpc-js call as a handler sees it. */
export class GrpcCall implements Call, GuardedCall {
  readonly deadlineMs: number;
  readonly storeDeadlineMs: number;
  /** Set for a caller with a service's credential, which is believed in what it says of its own caller (L12). */
  isFromService = false;
  readonly #call: InterceptedCall;

  /** @param limitMs null for a stream without an end */
  constructor(call: InterceptedCall, limitMs: number | null, storeLimitMs: number | null = STORE_LIMIT_MS) {
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
    return this.isFromService ? { ...origin, isTrustedForwarder: true } : origin;
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

  noteNoOp(): void {
    contextOf(this.#call.metadata).isNoOp = true;
  }
}
