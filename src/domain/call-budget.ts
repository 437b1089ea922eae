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
export function unabandoned({ storeDeadlineMs }: CallBudget): CallBudget {
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
