import { Rejected } from '../domain/rejection.ts';
import { isConnectFailure } from './connection/connect-failure.ts';
import { isTlsFault, TlsUnsupported } from './connection/open-socket.ts';
import { TlsFailed } from './connection/server-certificate.ts';
import {
  isRetryable,
  isStalePreparedStatement,
  isUnavailable,
  messageOf,
  sqlState,
  storeUnavailable,
} from './pg-errors.ts';

/**
 * - `unreachable`: waiting may help.
 * - `tls-unsupported`: `sslmode` demands TLS, and the server has none.
 * - `tls`: the server's certificate is not accepted, or TLS with it fails.
 * - `access-denied`: the user, the password or the database is wrong, or `pg_hba.conf` has no line for it.
 * - `set-up`: the role, the schema or the tables are not as Postern needs them.
 */
export interface DatabaseFault {
  readonly kind: 'unreachable' | 'tls-unsupported' | 'tls' | 'access-denied' | 'set-up';
  /** One line that says what is wrong. */
  readonly message: string;
}

/**
 * What is wrong with the database, by the error of a use: one fault, or one for each server or address that was tried. Empty
 * for an error that is no fault of the database.
 */
export function databaseFaultsOf(error: unknown): readonly DatabaseFault[] {
  if (error instanceof Rejected) {
    if (error.rejection.kind !== 'store-unavailable') return [];
    const faults = databaseFaultsOf(error.cause);
    return faults.length > 0 ? faults : [{ kind: 'unreachable', message: error.rejection.cause }];
  }
  if (error instanceof AggregateError && error.errors.length > 0)
    return error.errors.flatMap(databaseFaultsOf);
  const kind = kindOf(error);
  return kind === null ? [] : [{ kind, message: messageOf(error) }];
}

/** The fault to report to an operator: of several, the first that does not go away by waiting. */
export function databaseFaultOf(error: unknown): DatabaseFault | undefined {
  const faults = databaseFaultsOf(error);
  return faults.find(({ kind }) => kind !== 'unreachable') ?? faults[0];
}

/** Whether one of the servers that were tried may come back by itself. */
export function isMendedByWaiting(error: unknown): boolean {
  return databaseFaultsOf(error).some(({ kind }) => kind === 'unreachable' || kind === 'tls-unsupported');
}

/** Turns an error of pg or knex that means the database is unavailable into `Rejected`; returns any other unchanged. */
export function translateStoreError(error: unknown): unknown {
  if (error instanceof Rejected) return error;
  if (isStalePreparedStatement(error)) {
    const cause = 'a connection pooler in transaction mode is in use: see docs/operations.md, PgBouncer';
    return storeUnavailable(cause, { cause: error });
  }
  if (isRetryable(error)) return new Rejected({ kind: 'conflict' }, { cause: error });
  const fault = databaseFaultOf(error);
  if (fault === undefined) return error;
  const cause = fault.kind === 'unreachable' ? (sqlState(error) ?? messageOf(error)) : fault.message;
  return storeUnavailable(cause, { cause: error });
}

function kindOf(error: unknown): DatabaseFault['kind'] | null {
  if (error instanceof TlsUnsupported) return 'tls-unsupported';
  if (isTlsFault(error)) return isInterrupted(error) ? 'unreachable' : 'tls';
  if (isOpenSslError(error)) return 'tls';
  const state = sqlState(error) ?? '';
  if (/^(28...|3D000)$/.test(state) || (error instanceof Error && error.message.startsWith('SASL: ')))
    return 'access-denied';
  if (SET_UP.test(state)) return 'set-up';
  if (isUnavailable(error)) return 'unreachable';
  // Such as an unknown parameter in `options`.
  return isConnectFailure(error) ? 'access-denied' : null;
}

/**
 * What an operator may have done to the database under a running service: a privilege revoked (42501), a table or function
 * dropped, renamed or out of the search path (42P01, 42883, 3F000).
 */
const SET_UP = /^(42501|42P01|42883|3F000)$/;

/** A handshake that the network or a timeout ended, as when the server restarts: nothing is known to be wrong with its TLS. */
function isInterrupted(error: unknown): boolean {
  return error instanceof TlsFailed && isUnavailable(error.cause);
}

/** After the handshake: with TLS 1.3 a server refuses the client's certificate when the client reads for the first time. */
function isOpenSslError(error: unknown): boolean {
  return /^ERR_(SSL|TLS|OSSL)_/.test(String((error as { code?: unknown } | null)?.code));
}
