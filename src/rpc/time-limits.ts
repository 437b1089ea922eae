/** How long the server works on a call of most methods. */
export const STANDARD_DEADLINE_MS = 5_000;
/** For a stream of rows, many transactions long. */
export const IMPORT_DEADLINE_MS = 60_000;
/** A caller of a writing RPC has its UNAVAILABLE within 2 s, from its arrival and over all that the call does. */
export const STORE_LIMIT_MS = 1_900;
/** To write down a call that has spent its own time. */
export const AUDIT_LIMIT_MS = 1_000;
