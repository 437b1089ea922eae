import { inspect } from 'node:util';
import { errorText } from '../domain/error-text.ts';
import { SettingsError, wantsStackTraces } from '../config/load-settings.ts';
import { NotInstalled } from '../domain/not-installed.ts';
import { type FieldViolation, Rejected, type Rejection } from '../domain/rejection.ts';
import { EnvelopeError } from '../crypto/sealed-envelope.ts';
import { StoredKeyRefused } from '../features/signing-keys/check-stored-keys.ts';
import {
  DataDirectoryError,
  EmbeddedPostgresError,
  NoDataYet,
} from '../database/embedded/embedded-postgres-error.ts';
import { SchemaMismatch } from '../database/migrate.ts';
import { messageOf, sqlState } from '../database/pg-errors.ts';
import { CommandFailure } from './command-failure.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';

export interface ExplainedFailure {
  readonly exitCode: ExitCode;
  readonly lines: readonly string[];
}

/** What happened, then what to do. Where it happened is added when POSTERN_LOG_LEVEL asks for debug or trace. */
export function explainFailure(error: unknown): ExplainedFailure {
  const explained = explain(error);
  return wantsStackTraces()
    ? { ...explained, lines: [...explained.lines, ...inspect(error).split('\n')] }
    : explained;
}

function explain(error: unknown): ExplainedFailure {
  if (error instanceof CommandFailure) return failure(error.exitCode, error.message, error.advice);
  if (error instanceof Rejected && wantsTlsOfDatabase(error.cause)) {
    return failure(
      exitCodes.settings,
      'DATABASE_URL (or PGSSLMODE) asks for TLS, and the database server has none',
      'Turn TLS on in the server (ssl = on), or, where nobody can listen on the way, set sslmode=disable.',
    );
  }
  if (error instanceof Rejected) return explainRejection(error.rejection);
  if (error instanceof SettingsError) {
    return failure(exitCodes.settings, error.message, 'Correct the environment and run the command again.');
  }
  if (error instanceof NotInstalled) return failure(exitCodes.settings, error.message, error.advice);
  if (error instanceof NoDataYet) {
    return failure(
      exitCodes.refused,
      error.message,
      "Run 'postern serve' or 'postern migrate', which make it, or set POSTERN_DATA_DIR or DATABASE_URL to where the data is. Nothing was changed.",
    );
  }
  if (error instanceof DataDirectoryError)
    return failure(exitCodes.settings, error.message, 'Nothing was changed.');
  if (error instanceof EmbeddedPostgresError) {
    return failure(exitCodes.unavailable, error.message, 'Nothing was changed.');
  }
  if (error instanceof SchemaMismatch)
    return failure(exitCodes.refused, error.message, 'Nothing was changed.');
  if (error instanceof EnvelopeError) {
    return failure(
      exitCodes.settings,
      error.message,
      error.reason === 'other-master-key'
        ? 'Set POSTERN_MASTER_KEY to the key that sealed it, or POSTERN_MASTER_KEY_PREVIOUS beside a new one. Nothing was changed.'
        : 'Somebody else than Postern wrote to its table: find out who. Then restore the row from a backup, or, of a signing key, postern key revoke KID. Nothing was changed.',
    );
  }
  if (error instanceof StoredKeyRefused) {
    return failure(
      exitCodes.settings,
      error.message,
      'Somebody else than Postern wrote to the signing_keys table: find out who. Then restore the row from a backup, or postern key revoke KID. Nothing was changed.',
    );
  }
  if (isAddressRefused(error)) {
    return failure(
      exitCodes.settings,
      error.message,
      'Set POSTERN_GRPC_LISTEN and POSTERN_HTTP_LISTEN to addresses, or paths of sockets, that this user may listen on.',
    );
  }
  const addressInUse = addressInUseBy(error);
  if (addressInUse !== undefined) {
    return failure(
      exitCodes.settings,
      `${addressInUse} is in use: another program listens there`,
      'Stop it, or set POSTERN_GRPC_LISTEN and POSTERN_HTTP_LISTEN to other addresses.',
    );
  }
  if (isRefusedByDatabase(error)) {
    return failure(
      exitCodes.settings,
      `the database refuses the connection: ${messageOf(error)}`,
      'Check the user, the password and the name of the database in DATABASE_URL.',
    );
  }
  const what = errorText(error);
  return failure(
    exitCodes.unexpected,
    `an unexpected fault: ${what}`,
    'Run it again with POSTERN_LOG_LEVEL=debug to see where it happened.',
  );
}

/** A user or password that is not let in, or is missing; a database that does not exist. Of several servers, by any. */
function isRefusedByDatabase(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isRefusedByDatabase);
  if (!(error instanceof Error)) return false;
  return /^SASL: /.test(error.message) || /^(28000|28P01|3D000)$/.test(sqlState(error) ?? '');
}

/** A running service may wait until the server has it; whoever sits at the terminal is told what is set. */
function wantsTlsOfDatabase(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(wantsTlsOfDatabase);
  return error instanceof Error && error.message.includes('The server does not support SSL');
}

/** Not there, or not ours: no waiting helps. */
function isAddressRefused(error: unknown): error is Error {
  return (
    error instanceof Error && /^listen (EACCES|ENOENT|EADDRNOTAVAIL|ENOTDIR|EINVAL)\b/.test(error.message)
  );
}

/** The address that another program holds; Node gives it in its message, whatever its kind. */
function addressInUseBy(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return /^listen EADDRINUSE: address already in use (.+)/.exec(error.message)?.[1];
}

/** The rules that the service holds its callers to, as they meet whoever sits at the terminal. */
function explainRejection(rejection: Rejection): ExplainedFailure {
  switch (rejection.kind) {
    case 'field-invalid':
    case 'password-policy':
      return failure(
        exitCodes.refused,
        describeViolations(rejection.violations),
        'Correct it and run the command again.',
      );
    case 'email-taken':
      return failure(
        exitCodes.refused,
        'a user with this e-mail address exists',
        'Choose another, or change that user.',
      );
    case 'name-taken':
      return failure(
        exitCodes.refused,
        'a service account with this name exists',
        'Choose another, or delete that account.',
      );
    case 'last-admin':
      return failure(
        exitCodes.refused,
        'no enabled user with the role admin would be left',
        'Make another administrator first.',
      );
    case 'no-signing-keys':
      return failure(
        exitCodes.refused,
        'in HS256 mode there are no signing keys',
        'Change POSTERN_SECRET in the environment of every program that shares it.',
      );
    case 'conflict':
      return failure(
        exitCodes.refused,
        'somebody else changed it at the same time',
        'Look at it again, then decide anew.',
      );
    case 'not-found':
      return failure(exitCodes.refused, `there is no such ${rejection.what}`, 'Check how it is written.');
    case 'invalid-credentials':
    case 'refresh-refused':
    case 'login-rate-limited':
    case 'reset-token-invalid':
    case 'admin-required':
    case 'service-required':
    case 'credentials-missing':
      return failure(exitCodes.refused, 'the credentials were refused', 'Check them and try again.');
    case 'token-refused':
      return failure(
        exitCodes.tokenRefused,
        `${rejection.refusal.reason}: ${rejection.refusal.detail}`,
        'Get a new token.',
      );
    case 'message-too-large':
    case 'metadata-too-large':
      return failure(
        exitCodes.refused,
        `more than ${rejection.maxBytes} bytes were sent at once`,
        'Send less and run the command again.',
      );
    case 'store-unavailable':
      return failure(
        exitCodes.unavailable,
        `the database does not answer (${rejection.cause})`,
        'Check DATABASE_URL and that the database runs.',
      );
    case 'server-overloaded':
    case 'trust-stale':
    case 'shutting-down':
    case 'refresh-rate-limited':
    case 'reader-too-slow':
    case 'too-many-streams':
    case 'stream-idle':
    case 'deadline-exceeded':
    case 'cancelled':
      return failure(
        exitCodes.unavailable,
        `the work was not done (${rejection.kind})`,
        'Try again in a moment.',
      );
  }
}

function describeViolations(violations: readonly FieldViolation[]): string {
  return violations.map(({ field, description }) => `${field}: ${description}`).join('\n');
}

function failure(exitCode: ExitCode, what: string, advice: string): ExplainedFailure {
  return { exitCode, lines: [...`postern: ${what}`.split('\n'), advice] };
}
