/**
 * The time limit of one use of the database. Most calls also have a budget for all of their uses together
 * (`CALL_STORE_LIMIT_MS`). A login has none, since it may wait long for its hash: it answers within 2 s of the use that
 * gets no answer, however long it waited before.
 */
export const STORE_USE_LIMIT_MS = 1_700;
/**
 * What is left of a call's deadline for its answer: a caller that hears of a database without an answer knows when to retry,
 * while DEADLINE_EXCEEDED has no reason. A login can come this far, with a hash between two uses of the database.
 */
export const ANSWER_MARGIN_MS = 100;
/** How long a call waits for a free connection of the pool, not counting the time in which our event loop was busy. */
export const QUEUE_WAIT_MS = 1_000;
/**
 * The time limit of a query. Longer than `statement_timeout`, so that a healthy server reports its own timeout first.
 */
export const WATCHDOG_MS = 2_250;
/** A failure after at least this long that did not come from the server counts as a timeout for the circuit breaker. */
export const TIMEOUT_THRESHOLD_MS = 900;
/** The time limit of a connection attempt, not counting the time in which our event loop was busy. */
export const CONNECT_TIMEOUT_MS = 1_000;
/** The limit of the same attempt in wall-clock time. */
export const CONNECT_LIMIT_MS = 2_000;
export const STATEMENT_TIMEOUT_MS = 2_000;
export const LOCK_TIMEOUT_MS = 250;
export const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;
