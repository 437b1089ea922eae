import { inspect } from 'node:util';
import { errorText } from '../domain/error-text.ts';
import { SettingsError, wantsStackTraces } from '../config/load-settings.ts';
import { NotInstalled } from '../domain/not-installed.ts';
import { SocketAccessError } from '../net/unix-socket.ts';
import { type FieldViolation, Rejected, type Rejection } from '../domain/rejection.ts';
import { EnvelopeError } from '../crypto/sealed-envelope.ts';
import { StoredKeyRefused } from '../features/signing-keys/check-stored-keys.ts';
import {
  DataDirectoryError,
  EmbeddedPostgresError,
  NoDataYet,
} from '../database/embedded/embedded-postgres-error.ts';
import { SchemaMismatch } from '../database/migrate.ts';
import { type DatabaseFault, databaseFaultOf } from '../database/database-fault.ts';
import { CommandFailure } from './command-failure.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';

/** The address of a failed listener is in the message; the person who set it knows by which of these. */
const LISTEN_SETTINGS =
  'POSTERN_GRPC_LISTEN, POSTERN_HTTP_LISTEN, POSTERN_ADMIN_LISTEN or POSTERN_CONSOLE_LISTEN';

export interface ExplainedFailure {
  readonly exitCode: ExitCode;
  readonly lines: readonly string[];
}

/** Says what happened, then what to do. The stack trace is added when POSTERN_LOG_LEVEL is debug or trace. */
export function explainFailure(error: unknown): ExplainedFailure {
  const explained = explain(error);
  return wantsStackTraces()
    ? { ...explained, lines: [...explained.lines, ...inspect(error).split('\n')] }
    : explained;
}

function explain(error: unknown): ExplainedFailure {
  if (error instanceof CommandFailure) return failure(error.exitCode, error.message, error.advice);
  const fault = databaseFaultOf(error);
  if (fault !== undefined && fault.kind !== 'unreachable') return explainDatabaseFault(fault);
  if (error instanceof Rejected) return explainRejection(error.rejection);
  if (error instanceof SettingsError) {
    return failure(exitCodes.settings, error.message, 'Correct the environment and run the command again.');
  }
  if (error instanceof SocketAccessError) return failure(exitCodes.settings, error.message, error.advice);
  if (error instanceof NotInstalled) return failure(exitCodes.settings, error.message, error.advice);
  if (error instanceof NoDataYet) {
    return failure(
      exitCodes.refused,
      error.message,
      "Run 'postern serve' or 'postern migrate' to create the database, or set POSTERN_DATA_DIR or DATABASE_URL to existing data. Nothing was changed.",
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
        ? 'Set POSTERN_MASTER_KEY, or POSTERN_MASTER_KEY_PREVIOUS next to a new master key, to the key that sealed it. Nothing was changed.'
        : 'Something other than Postern wrote to its table: find out who did. Then restore the row from a backup or, for a signing key, run: postern key revoke KID. Nothing was changed.',
    );
  }
  if (error instanceof StoredKeyRefused) {
    return failure(
      exitCodes.settings,
      error.message,
      'Something other than Postern wrote to the signing_keys table: find out who did. Then restore the row from a backup, or run: postern key revoke KID. Nothing was changed.',
    );
  }
  if (isAddressRefused(error)) {
    return failure(
      exitCodes.settings,
      error.message,
      `Set ${LISTEN_SETTINGS} to an address of this machine, a name that resolves to one, or a socket path on which this user may listen.`,
    );
  }
  const addressInUse = addressInUseBy(error);
  if (addressInUse !== undefined) {
    return failure(
      exitCodes.settings,
      `${addressInUse} is in use by another program`,
      `Stop that program, or set ${LISTEN_SETTINGS} to another address.`,
    );
  }
  const message = errorText(error);
  return failure(
    exitCodes.unexpected,
    `unexpected error: ${message}`,
    'Run the command again with POSTERN_LOG_LEVEL=debug to see where it happened.',
  );
}

function explainDatabaseFault({ kind, message }: DatabaseFault): ExplainedFailure {
  switch (kind) {
    case 'tls-unsupported':
      // A running service waits until the server supports TLS; a command reports the setting instead.
      return failure(
        exitCodes.settings,
        'DATABASE_URL (or PGSSLMODE) asks for TLS, but the database server does not support it',
        'Turn on TLS in the server (ssl = on). Where nobody can listen on the network, you may set sslmode=disable instead.',
      );
    case 'tls':
      return failure(
        exitCodes.unavailable,
        message,
        'Renew the certificate of the database server, or correct sslmode, sslrootcert and the host in DATABASE_URL.',
      );
    case 'access-denied':
      return failure(
        exitCodes.settings,
        `the database refuses the connection: ${message}`,
        'Check the host, the user, the password, the database name and the options in DATABASE_URL.',
      );
    case 'set-up':
      return failure(
        exitCodes.settings,
        `the database is not set up for this role: ${message}`,
        "As the owner of Postern's tables run: postern migrate --grant-to ROLE. Check the search_path of the role, too.",
      );
    case 'unreachable':
      return failure(
        exitCodes.unavailable,
        `the database does not respond (${message})`,
        'Check DATABASE_URL and that the database is running.',
      );
  }
}

/** The address does not exist here, does not resolve or is not permitted, so that waiting does not help. */
function isAddressRefused(error: unknown): error is Error {
  return (
    error instanceof Error &&
    /^listen (EACCES|EPERM|ENOENT|EADDRNOTAVAIL|EAFNOSUPPORT|ENOTDIR|EINVAL|ENOTFOUND|EAI_[A-Z]+|ENODATA)\b/.test(
      error.message,
    )
  );
}

/** The address that is in use. Node gives it only in the message, for every kind of address. */
function addressInUseBy(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return /^listen EADDRINUSE: address already in use (.+)/.exec(error.message)?.[1];
}

/** Explains a rejection by a rule of the service to the person at the terminal. */
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
        'a user with this e-mail address already exists',
        'Choose another address, or change the existing user.',
      );
    case 'id-taken':
      return failure(
        exitCodes.refused,
        'the id belongs to another user or a service account, or did before it was deleted',
        'Leave --id out for a new id, and keep the old one with --external-id.',
      );
    case 'external-id-taken':
      return failure(
        exitCodes.refused,
        'a user with this external id already exists',
        'Look at it with: postern user list --json',
      );
    case 'name-taken':
      return failure(
        exitCodes.refused,
        `another ${rejection.of} has this name`,
        'Choose another name, or remove the other one.',
      );
    case 'issuer-taken':
      return failure(
        exitCodes.refused,
        'the issuer is trusted already',
        'Look at it with: postern issuer list',
      );
    case 'api-key-limit-reached':
      return failure(
        exitCodes.refused,
        rejection.limit,
        `${rejection.advice.charAt(0).toUpperCase()}${rejection.advice.slice(1)}.`,
      );
    case 'passkeys-disabled':
      return failure(exitCodes.refused, 'there are no passkeys', rejection.detail);
    case 'factor-limit-reached':
      return failure(
        exitCodes.refused,
        `the user has ${rejection.max} second factors already`,
        'Delete one first.',
      );
    case 'audience-limit-reached':
      return failure(exitCodes.refused, 'there are as many audiences as there may be', 'Delete one first.');
    case 'last-admin':
      return failure(
        exitCodes.refused,
        'no enabled user with the role admin would remain',
        'Create another administrator first.',
      );
    case 'no-signing-keys':
      return failure(
        exitCodes.refused,
        'there are no signing keys in HS256 mode',
        'Change POSTERN_SECRET in the environment of every program that shares it.',
      );
    case 'claims-too-long':
      return failure(
        exitCodes.refused,
        'the roles and external id of the user do not fit into an access token',
        'Give the user fewer roles; postern doctor says what else helps.',
      );
    case 'conflict':
      return failure(
        exitCodes.refused,
        'the resource was changed concurrently',
        'Check its current state, then run the command again.',
      );
    case 'not-found':
      return failure(exitCodes.refused, `there is no such ${rejection.resource}`, 'Check the spelling.');
    case 'invalid-credentials':
    case 'refresh-refused':
    case 'login-rate-limited':
    case 'reset-token-invalid':
    case 'admin-required':
    case 'service-required':
    case 'credentials-missing':
    case 'issuer-not-trusted':
    case 'identity-not-bound':
    case 'exchange-not-allowed':
    case 'api-key-invalid':
    case 'credential-not-allowed':
    case 'second-factor-required':
    case 'second-factor-invalid':
    case 'passkey-invalid':
    case 'step-up-required':
      return failure(exitCodes.refused, 'the credentials were refused', 'Check them and try again.');
    case 'issuer-keys-unavailable':
      return failure(
        exitCodes.unavailable,
        `the keys of the issuer cannot be fetched: ${rejection.cause}`,
        'Run: postern doctor',
      );
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
        `the request is larger than ${rejection.maxBytes} bytes`,
        'Send less and run the command again.',
      );
    case 'store-unavailable':
      return explainDatabaseFault({ kind: 'unreachable', message: rejection.cause });
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
        `the operation was not completed (${rejection.kind})`,
        'Try again in a moment.',
      );
  }
}

function describeViolations(violations: readonly FieldViolation[]): string {
  return violations.map(({ field, description }) => `${field}: ${description}`).join('\n');
}

function failure(exitCode: ExitCode, message: string, advice: string): ExplainedFailure {
  // Lists, such as the faults of a file, have a line for each item.
  return { exitCode, lines: `postern: ${message}\n${advice}`.split('\n') };
}
