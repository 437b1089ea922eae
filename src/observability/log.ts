import pino, { type DestinationStream, type Logger, type LoggerOptions } from 'pino';

import type { LogLevel } from '../config/setting-values.ts';
import { LineOutput } from './line-output.ts';

export type { Logger } from 'pino';

const MAX_TEXT_LENGTH = 2_048;
const STANDARD_ERROR = 2;

/**
 * A log of JSON lines, one for each event, with UTC times. Long texts are truncated, so that no caller can flood the
 * log.
 */
export function createLog(level: LogLevel, destination: DestinationStream): Logger {
  return pino(logOptions(level), destination);
}

/** The log of a process on standard error, and the output that it writes to. */
export function openLog(level: LogLevel): { log: Logger; output: LineOutput } {
  const output = new LineOutput(STANDARD_ERROR, (lines) => {
    let text = '';
    createLog(level, { write: (line) => (text = line) }).warn({ lines }, 'log-lines-lost');
    return text;
  });
  return { log: createLog(level, output), output };
}

/** pino's options, for any destination. */
export function logOptions(level: LogLevel): LoggerOptions {
  return {
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'event',
    formatters: { level: (label) => ({ level: label }), log: sanitizeTexts },
    serializers: { cause: serializeCause },
  };
}

/**
 * Serialises the name, message, stack and cause of an error. Its other fields are left out, because PostgreSQL puts the
 * failing row with its password hash and e-mail into a field named `detail` (O01).
 */
function serializeCause(error: unknown): unknown {
  if (!(error instanceof Error)) return sanitizeText(String(error));
  return {
    name: error.name,
    message: sanitizeText(error.message),
    stack: error.stack && sanitizeText(error.stack),
    ...(error.cause !== undefined && { cause: serializeCause(error.cause) }),
  };
}

/** Sanitises every text field of a line, whatever its source (O02). */
function sanitizeTexts(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? sanitizeText(value) : value,
    ]),
  );
}

/**
 * Characters that JSON does not escape but that control a terminal: C1 control characters, bidirectional overrides,
 * which reverse text on the screen, line separators and the byte order mark.
 */
const CONTROL_CHARACTERS = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function sanitizeText(text: string): string {
  return text
    .slice(0, MAX_TEXT_LENGTH)
    .toWellFormed()
    .replace(
      CONTROL_CHARACTERS,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
}
