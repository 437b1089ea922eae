/** How long a call may still take, and whether its caller is still there. One budget covers all the work of a call. */
export interface CallBudget {
  /** Epoch milliseconds by which the answer must be given. */
  readonly deadlineMs: number;
  /**
   * Epoch milliseconds by which the database must have answered everything that the call asks of it; its caller hears
   * `store-unavailable` then, before its deadline (D09). Absent where each use of the database counts for itself.
   */
  readonly storeDeadlineMs?: number;
  /** Aborts when the caller has left or the deadline has passed. */
  readonly signal: AbortSignal;
}

/**
 * The budget of what must come about once it is known, lest whoever brought it about take it back by leaving: neither
 * the deadline nor the departure of the caller ends it, only what the database may take.
 */
export function withoutCancellation({ storeDeadlineMs }: CallBudget): CallBudget {
  return {
    deadlineMs: Infinity,
    ...(storeDeadlineMs !== undefined && { storeDeadlineMs }),
    signal: new AbortController().signal,
  };
}

/** A budget for work that no caller waits for: start-up, schedules, commands. */
export function budgetOf(durationMs: number, nowMs: number): CallBudget {
  return { deadlineMs: nowMs + durationMs, signal: new AbortController().signal };
}

/** Where a call comes from, for throttling and the audit trail. */
export interface CallOrigin {
  /** Names the call in logs and to its caller; empty for work that no call asked for. */
  readonly requestId: string;
  /** The peer's IP address; null for loopback, unix sockets and commands, which stand for nobody in particular. */
  readonly address: string | null;
  readonly userAgent: string | null;
  /** Whether the caller may say for whom it calls (`client.address`): a trusted proxy or a service account (L12). */
  readonly isTrustedForwarder: boolean;
}

/** A call that an operation serves: what it may spend, and where it comes from. */
export interface OperationCall extends CallBudget {
  readonly origin: CallOrigin;
}

/** The origin of what the service or an operator does by itself. */
export const ownOrigin: CallOrigin = {
  requestId: '',
  address: null,
  userAgent: null,
  isTrustedForwarder: false,
};
