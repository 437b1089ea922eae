import pino, { type DestinationStream, type Logger, type LoggerOptions } from 'pino';

import type { LogLevel } from '../config/setting-rules.ts';
import { LineOutput } from './line-output.ts';

export type { Logger } from 'pino';

const MAX_TEXT = 2_048;
const STANDARD_ERROR = 2;

/** JSON lines, UTC, one for each event; a long text is cut, so that no caller can flood the log. */
export function createLog(level: LogLevel, destination: DestinationStream): Logger {
  return pino(logOptions(level), destination);
}

/** The log of a process, on its standard error, and the way there. */
export function openLog(level: LogLevel): { log: Logger; output: LineOutput } {
  const output = new LineOutput(STANDARD_ERROR, (lines) => {
    let text = '';
    createLog(level, { write: (line) => (text = line) }).warn({ lines }, 'log-lines-lost');
    return text;
  });
  return { log: createLog(level, output), output };
}

/** How the log is written, wherever it goes. */
export function logOptions(level: LogLevel): LoggerOptions {
  return {
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'event',
    formatters: { level: (label) => ({ level: label }), log: withPlainTexts },
    serializers: { cause: causeOf },
  };
}

/**
 * An error as its name and message, with the errors behind it and the stack of the first. Nothing else of it: PostgreSQL
 * puts the whole failing row, hash and e-mail, into a field that is called `detail` (O01).
 */
function causeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return plainText(String(error));
  return {
    name: error.name,
    message: plainText(error.message),
    stack: error.stack && plainText(error.stack),
    ...(error.cause !== undefined && { cause: causeOf(error.cause) }),
  };
}

/** Every text of a line, whoever wrote it, within bounds (O02). */
function withPlainTexts(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? plainText(value) : value,
    ]),
  );
}

/** JSON escapes line ends; what is left would still steer a terminal, or turn the rest of a line around on a screen. */
const STEERING = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function plainText(text: string): string {
  return text
    .slice(0, MAX_TEXT)
    .toWellFormed()
    .replace(STEERING, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
