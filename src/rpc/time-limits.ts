/** The server's deadline for most methods. */
export const STANDARD_DEADLINE_MS = 5_000;
/** The server's deadline for an import, which takes many transactions. */
export const IMPORT_DEADLINE_MS = 60_000;
/** Total database time of a call, so that an RPC that writes answers UNAVAILABLE within 2 s of its arrival. */
export const CALL_STORE_LIMIT_MS = 1_900;
/** Additional time to audit a call whose own budget is spent. */
export const AUDIT_LIMIT_MS = 1_000;
