import type { ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';

import type { CallBudget } from '../domain/call-budget.ts';

/** What a handler sees of its call beside the request. */
export interface Call extends CallBudget {
  /** The raw `authorization` metadata, one entry for each time it was sent. */
  readonly authorization: readonly string[];
}

/** A grpc-js call as a budget. The signal is made when somebody asks: most verifications end without it. */
export class ServedCall implements Call {
  readonly deadlineMs: number;
  readonly #call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;
  #signal: AbortSignal | undefined;

  constructor(
    call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>,
    limitMs: number | null,
  ) {
    this.#call = call;
    const callersDeadlineMs = Number(call.getDeadline());
    this.deadlineMs = Math.min(callersDeadlineMs, limitMs === null ? Infinity : Date.now() + limitMs);
  }

  get signal(): AbortSignal {
    if (!this.#signal) {
      const controller = new AbortController();
      if (this.#call.cancelled) controller.abort();
      else this.#call.once('cancelled', () => controller.abort());
      this.#signal = controller.signal;
    }
    return this.#signal;
  }

  get authorization(): readonly string[] {
    return this.#call.metadata.get('authorization').map(String);
  }
}
