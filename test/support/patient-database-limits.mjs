// Replaces `database/time-limits.js` in a process that works on a busy machine (replace-modules.mjs).
import * as limits from '../../dist/database/time-limits.js';

const FACTOR = 12;
export const ANSWER_MARGIN_MS = limits.ANSWER_MARGIN_MS;
export const STORE_USE_LIMIT_MS = FACTOR * limits.STORE_USE_LIMIT_MS;
export const QUEUE_WAIT_MS = FACTOR * limits.QUEUE_WAIT_MS;
export const WATCHDOG_MS = FACTOR * limits.WATCHDOG_MS;
export const TIMEOUT_THRESHOLD_MS = FACTOR * limits.TIMEOUT_THRESHOLD_MS;
export const CONNECT_TIMEOUT_MS = FACTOR * limits.CONNECT_TIMEOUT_MS;
export const CONNECT_LIMIT_MS = FACTOR * limits.CONNECT_LIMIT_MS;
export const STATEMENT_TIMEOUT_MS = FACTOR * limits.STATEMENT_TIMEOUT_MS;
export const LOCK_TIMEOUT_MS = FACTOR * limits.LOCK_TIMEOUT_MS;
export const IDLE_IN_TRANSACTION_TIMEOUT_MS = FACTOR * limits.IDLE_IN_TRANSACTION_TIMEOUT_MS;
