/** The time limit and the cancellation of a call. One budget covers all the work of a call. */
export interface CallBudget {
  /** Unix time in ms by which the call must be answered. */
  readonly deadlineMs: number;
  /**
   * Unix time in ms by which all database work of the call must be done. After that the call is refused with
   * `store-unavailable`, before its deadline (D09). Absent where each use of the database has its own limit.
   */
  readonly storeDeadlineMs?: number;
  /** Aborts when the caller has cancelled or the deadline has passed. */
  readonly signal: AbortSignal;
}

/**
 * The budget for work that must complete even if the caller cancels, such as ending a session after token reuse: otherwise
 * an attacker could prevent it by disconnecting. Only the time limit of the database applies.
 */
export function withoutCancellation({ storeDeadlineMs }: CallBudget): CallBudget {
  return {
    deadlineMs: Infinity,
    ...(storeDeadlineMs !== undefined && { storeDeadlineMs }),
    signal: new AbortController().signal,
  };
}

/** A budget for work without a caller: start-up, schedules, commands. */
export function budgetOf(durationMs: number, nowMs: number): CallBudget {
  return { deadlineMs: nowMs + durationMs, signal: new AbortController().signal };
}

/** Where a call comes from, for throttling and the audit trail. */
export interface CallOrigin {
  /** Identifies the call in logs and to its caller; empty for work without a call. */
  readonly requestId: string;
  /** The peer's IP address; null for loopback, unix sockets and commands, which do not identify a caller. */
  readonly address: string | null;
  readonly userAgent: string | null;
  /** Whether the `client.address` in the request is trusted: from a trusted proxy or a service account (L12). */
  readonly isTrustedForwarder: boolean;
}

/** The budget and the origin of a call, for operations. */
export interface OperationCall extends CallBudget {
  readonly origin: CallOrigin;
}

/** The origin of work that the service or an operator starts. */
export const ownOrigin: CallOrigin = {
  requestId: '',
  address: null,
  userAgent: null,
  isTrustedForwarder: false,
};

/** What the audit trail keeps of a user agent; sessions keep the same. */
const MAX_USER_AGENT_BYTES = 256;

/**
 * A user agent as it is noted down, null for none. It decides nothing, so it refuses nothing: what is too long is cut
 * between two characters, and what PostgreSQL, a log or a terminal must not get is replaced by U+FFFD.
 */
export function notedUserAgent(text: string): string | null {
  // No character takes less than a byte, so the rest would be cut anyway.
  const start = text.slice(0, MAX_USER_AGENT_BYTES);
  let noted = '';
  let bytes = 0;
  for (const character of start.replace(NOT_NOTED, '\ufffd')) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_USER_AGENT_BYTES) break;
    noted += character;
  }
  return noted === '' ? null : noted;
}

/** Control characters, line and paragraph separators, and lone surrogates. */
const NOT_NOTED = /[\p{Cc}\p{Cs}\u2028\u2029]/gu;
