import { errorText } from '../domain/error-text.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../domain/rejection.ts';

/** The server did not answer a query in time. The connection is closed. */
export class QueryUnanswered extends Error {
  constructor(afterMs: number) {
    super(`the database did not answer within ${afterMs} ms`);
    this.name = 'QueryUnanswered';
  }
}

/**
 * PostgreSQL answered COMMIT with ROLLBACK, because an earlier error in the transaction was ignored. Nothing is stored.
 */
export class CommitRefused extends Error {
  constructor() {
    super('the transaction was rolled back at its commit, because an error inside it was ignored');
    this.name = 'CommitRefused';
  }
}

/** Node's codes of socket and DNS errors. */
const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** Messages of pg, knex and this folder for a lost connection. They have no code, and knex puts the SQL and ` - ` before. */
const LOST_CONNECTION =
  /(?:^| - )(?:Connection terminated|timeout expired|timeout exceeded when trying to connect|Knex: Timeout acquiring|Client has encountered a connection error|Unable to acquire|aborted$)/;

/**
 * SQLSTATE classes and codes of temporary failures: connection errors (08), insufficient resources (53), shutdown and
 * recovery (57P), a cancelled statement (57014), a lock timeout (55P03), a read-only server (25006), system errors (58),
 * sessions and transactions that the server ended (25P03, 25P04), a faulty configuration file (F0), and internal errors
 * and corruption (XX).
 */
const UNAVAILABLE_SQLSTATE = /^(08...|53...|57P..|57014|55P03|25006|25P0[34]|58...|F0...|XX...)$/;

/** Serialisation failure and deadlock: the same work may succeed when it is run again. */
const RETRYABLE_SQLSTATE = new Set(['40001', '40P01']);

export function isRetryable(error: unknown): boolean {
  return RETRYABLE_SQLSTATE.has(sqlState(error) ?? '') || isStalePreparedStatement(error);
}

/**
 * Makes a handler for `catch` that turns a violation of the named unique index into the rejection, and rethrows every
 * other error.
 */
export function rejectDuplicate(index: string, rejection: Rejection): (error: unknown) => never {
  return (error) => {
    const isDuplicate =
      sqlState(error) === '23505' && (error as { constraint?: unknown }).constraint === index;
    throw isDuplicate ? new Rejected(rejection, { cause: error }) : error;
  };
}

export function storeUnavailable(cause: string, options?: ErrorOptions): Rejected {
  return new Rejected({ kind: 'store-unavailable', cause, retryAfterMs: RETRY_AFTER_MS }, options);
}

/** Whether an error means that the database cannot be reached or used at the moment. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof QueryUnanswered) return true;
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  const code = codeOf(error);
  if (code !== undefined) return NETWORK_CODES.has(code) || UNAVAILABLE_SQLSTATE.test(code);
  return error instanceof Error && LOST_CONNECTION.test(error.message);
}

/** The SQLSTATE of an error from the server (PostgreSQL, appendix A); undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  const code = codeOf(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** A SQLSTATE, or Node's error code. */
function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** The error's message on one line. For several addresses or servers, the distinct messages of all of them. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(messageOf))].join('; ');
  }
  const text = errorText(error);
  // Knex puts the statement and ` - ` before the database's message.
  const message = text.slice(text.lastIndexOf(' - ') + 1).replace(/^- /, '');
  return message.replace(/\s+/g, ' ').trim() || (codeOf(error) ?? 'an error without a message');
}

/**
 * Whether a prepared statement failed because the server does not have it, has it already, or its table has changed.
 * The first two happen when a pooler switches server connections. A new connection prepares the statement again.
 */
export function isStalePreparedStatement(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  // The message may be in another language (`lc_messages`); the routine is that of PostgreSQL's source.
  const { code, routine } = error as { code: unknown; routine?: unknown };
  return code === '26000' || code === '42P05' || (code === '0A000' && routine === 'RevalidateCachedQuery');
}
