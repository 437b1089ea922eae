import pino, { type Logger, type LoggerOptions } from 'pino';

import type { LogLevel } from './config.ts';

export type { Logger } from 'pino';

const MAX_TEXT = 2_048;

/** JSON lines on stderr, UTC, one for each event; a long text is cut, so that no caller can flood the log. */
export function createLog(level: LogLevel): Logger {
  return pino(logOptions(level), pino.destination({ dest: 2, sync: true }));
}

/** How the log is written, wherever it goes. */
export function logOptions(level: LogLevel): LoggerOptions {
  return {
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'event',
    formatters: { level: (label) => ({ level: label }) },
    serializers: { cause: causeOf },
  };
}

/**
 * An error as its name and message, with the errors behind it and the stack of the first. Nothing else of it: PostgreSQL
 * puts the whole failing row, hash and e-mail, into a field that is called `detail` (O01).
 */
function causeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error).slice(0, MAX_TEXT);
  return {
    name: error.name,
    message: error.message.slice(0, MAX_TEXT),
    stack: error.stack?.slice(0, MAX_TEXT),
    ...(error.cause !== undefined && { cause: causeOf(error.cause) }),
  };
}
