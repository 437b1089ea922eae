/**
 * The time limit of one use of the database. The budget of a call also limits all of its uses together, so that a login
 * that waited for its password hash still answers within 2 s.
 */
export const STORE_LIMIT_MS = 1_700;
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
