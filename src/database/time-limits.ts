/**
 * What one use of the database may take; a call with several has one limit for all of them besides. A login that had to
 * wait for its hash before still answers within 2 s.
 */
export const STORE_LIMIT_MS = 1_700;
/** Longer than `statement_timeout`, so that a living server gets to say so itself. */
export const WATCHDOG_MS = 2_250;
/** A failure that came after so long, and not from the server, was silence. */
export const SILENCE_FROM_MS = 900;
export const CONNECT_TIMEOUT_MS = 1_000;
/** The same by the clock, whatever our own loop was busy with. */
export const CONNECT_LIMIT_MS = 2_000;
export const STATEMENT_TIMEOUT_MS = 2_000;
export const LOCK_TIMEOUT_MS = 250;
export const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;
