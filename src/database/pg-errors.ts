import { errorText } from '../domain/error-text.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../domain/rejection.ts';

/** Rejects a query whose answer did not come; the connection it ran on is closed for good. */
export class QueryUnanswered extends Error {
  constructor(afterMs: number) {
    super(`the database did not answer within ${afterMs} ms`);
    this.name = 'QueryUnanswered';
  }
}

/** COMMIT of a transaction that an error had ended: the error was swallowed, and nothing is stored. */
export class CommitRefused extends Error {
  constructor() {
    super('the transaction was rolled back at its commit: an error inside it was swallowed');
    this.name = 'CommitRefused';
  }
}

/** Socket and name-lookup faults, as Node names them. */
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

/** Messages of pg and knex for a lost connection; they carry no code, and knex puts the SQL and a dash before them. */
const LOST_CONNECTION =
  /(?:^| - )(?:Connection terminated|timeout expired|timeout exceeded when trying to connect|Knex: Timeout acquiring|Client has encountered a connection error|Unable to acquire|aborted$|The server does not support SSL)/;

/**
 * SQLSTATE classes and codes that mean "not now": connection faults (08), resources (53), shutdown and recovery
 * (57P), a cancelled statement (57014), a lock that did not come in time (55P03), a standby that does not write
 * (25006), disk trouble (58), and terminated idle transactions (25P03).
 */
const UNAVAILABLE_SQLSTATE = /^(08...|53...|57P..|57014|55P03|25006|25P03|58...)$/;

/** Serialisation failure and deadlock: the same work may succeed when it is done again. */
const RETRYABLE_SQLSTATE = new Set(['40001', '40P01']);

export function isRetryable(error: unknown): boolean {
  return RETRYABLE_SQLSTATE.has(sqlState(error) ?? '') || isStalePreparedStatement(error);
}

/** For `catch`: rejects when another row has the value that the named unique index protects; every other error stays itself. */
export function rejectDuplicate(index: string, rejection: Rejection): (error: unknown) => never {
  return (error) => {
    const isDuplicate =
      sqlState(error) === '23505' && (error as { constraint?: unknown }).constraint === index;
    throw isDuplicate ? new Rejected(rejection, { cause: error }) : error;
  };
}

/** Turns what pg and knex throw when the database cannot serve into a rejection; every other error stays itself. */
export function translateStoreError(error: unknown): unknown {
  if (error instanceof Rejected) return error;
  if (isStalePreparedStatement(error)) {
    const cause = 'a pooler lends out connections by the transaction: docs/operations.md, PgBouncer';
    return storeUnavailable(cause, { cause: error });
  }
  if (isRetryable(error)) return new Rejected({ kind: 'conflict' }, { cause: error });
  if (!isUnavailable(error)) return error;
  const cause = /unsupported startup parameter/.test((error as Error).message)
    ? 'a pooler refuses the time limits that Postern sends: docs/operations.md, PgBouncer'
    : (sqlState(error) ?? messageOf(error));
  return storeUnavailable(cause, { cause: error });
}

export function storeUnavailable(cause: string, options?: ErrorOptions): Rejected {
  return new Rejected({ kind: 'store-unavailable', cause, retryAfterMs: RETRY_AFTER_MS }, options);
}

function isUnavailable(error: unknown): boolean {
  if (error instanceof QueryUnanswered) return true;
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  const code = codeOf(error);
  if (code !== undefined) return NETWORK_CODES.has(code) || UNAVAILABLE_SQLSTATE.test(code);
  return error instanceof Error && LOST_CONNECTION.test(error.message);
}

/** The SQLSTATE of what the database said (PostgreSQL, appendix A); undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  const code = codeOf(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** A SQLSTATE, or Node's name of a fault. */
function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** In one line. Of a host with several addresses, or of several servers, what each of them said. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(messageOf))].join('; ');
  }
  const text = errorText(error);
  // Knex puts the statement and a dash before what the database said.
  const said = text.slice(text.lastIndexOf(' - ') + 1).replace(/^- /, '');
  return said.replace(/\s+/g, ' ').trim() || (codeOf(error) ?? 'an error without a text');
}

/**
 * A prepared statement that the server does not have, or has already, though the connection says otherwise (a pooler
 * between them lends out another), or whose table has changed. Another connection prepares it again.
 */
export function isStalePreparedStatement(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  const { code, message } = error;
  return (
    code === '26000' ||
    code === '42P05' ||
    (code === '0A000' && message.includes('cached plan must not change'))
  );
}
