import { API_KEY_INVALID } from '../domain/claims/api-key.ts';
import { MAX_ISSUED_TOKEN_BYTES } from '../domain/claims/token-room.ts';
import { type FieldViolation, Rejected, type Rejection } from '../domain/rejection.ts';
import { secondFactorStatus } from './second-factor-status.ts';
import { missingCredential, unlisted } from './missing-credential.ts';
import type { RpcStatus } from './rpc-status.ts';
import { refreshMessages } from './refresh-messages.ts';
import type { DenialReason, ReasonName } from './reasons.ts';
import { Code } from './status-code.ts';

const MAX_TEXT_LENGTH = 1_024;

/** Truncates a message for a header and replaces lone surrogates. */
export function presentableText(message: string): string {
  return message.slice(0, MAX_TEXT_LENGTH).toWellFormed();
}

/** For a message that cannot be decoded. */
export const UNREADABLE_REQUEST: Rejection = {
  kind: 'field-invalid',
  violations: [
    { field: '', description: 'the request is not a valid message of this method; check its encoding' },
  ],
};

/** The status for a message that cannot be decoded. */
export function unreadableRequest(): RpcStatus {
  return statusOf(UNREADABLE_REQUEST);
}

/** The status for faults of Postern. The caller learns only the request id, in the trailer. */
export function internalStatus(): RpcStatus {
  return {
    code: Code.INTERNAL,
    message: 'internal error; report the x-request-id of this call to the operator',
  };
}

/** The only mapping from a rejection to a status. Deterministic: equal rejections have equal statuses. */
export function statusOf(rejection: Rejection): RpcStatus {
  switch (rejection.kind) {
    case 'invalid-credentials':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'INVALID_CREDENTIALS',
        message: 'the credentials are wrong',
      };
    case 'credentials-missing':
      return missingCredential(rejection);
    case 'reset-token-invalid':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'RESET_TOKEN_INVALID',
        message: 'the reset token is invalid or has expired; ask an administrator for a new one',
      };
    case 'token-refused':
      return {
        code: Code.UNAUTHENTICATED,
        reason: rejection.refusal.reason,
        message: rejection.refusal.detail,
      };
    case 'refresh-refused':
      return {
        code: Code.UNAUTHENTICATED,
        reason: rejection.reason,
        message: refreshMessages[rejection.reason],
      };
    case 'field-invalid':
      return {
        code: Code.INVALID_ARGUMENT,
        reason: 'FIELD_INVALID',
        message: joinViolations(rejection.violations),
        violations: rejection.violations,
      };
    case 'password-policy':
      return {
        code: Code.INVALID_ARGUMENT,
        reason: 'PASSWORD_POLICY',
        message: joinViolations(rejection.violations),
        violations: rejection.violations,
      };
    case 'login-rate-limited':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'LOGIN_RATE_LIMITED',
        message: 'too many failed logins; wait before trying again',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'refresh-rate-limited':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'REFRESH_RATE_LIMITED',
        message: 'this refresh token was used too often; use the tokens that it was exchanged for',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'admin-required':
      return {
        code: Code.PERMISSION_DENIED,
        reason: 'ADMIN_REQUIRED',
        message:
          rejection.certificateNames === undefined
            ? "the caller needs the role 'admin', now and in its token; after it was given, log in again or get a new token"
            : unlisted(rejection.certificateNames, 'POSTERN_TLS_ADMIN_IDENTITIES', 'an administrator'),
      };
    case 'service-required':
      return {
        code: Code.PERMISSION_DENIED,
        reason: 'SERVICE_REQUIRED',
        message:
          rejection.certificateNames === undefined
            ? 'the caller needs an access token of a service account, or a client certificate with a listed identity'
            : unlisted(rejection.certificateNames, 'POSTERN_TLS_SERVICE_IDENTITIES', 'a service account'),
      };
    case 'issuer-not-trusted':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'ISSUER_NOT_TRUSTED',
        message: 'no trusted issuer has the iss of the token; an administrator adds it',
      };
    case 'identity-not-bound':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'IDENTITY_NOT_BOUND',
        message: 'the identity is valid, and bound to no service account; an administrator creates a binding',
      };
    case 'issuer-keys-unavailable':
      return {
        code: Code.UNAVAILABLE,
        reason: 'TRUST_STALE',
        message:
          'the keys of the issuer cannot be fetched; retry later, and let an administrator run postern doctor',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'exchange-not-allowed':
      return { code: Code.PERMISSION_DENIED, reason: 'EXCHANGE_NOT_ALLOWED', message: rejection.detail };
    case 'api-key-invalid':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'API_KEY_INVALID',
        message: API_KEY_INVALID,
      };
    case 'credential-not-allowed':
      return {
        code: Code.PERMISSION_DENIED,
        reason: 'CREDENTIAL_NOT_ALLOWED',
        message:
          'this needs the access token of a login, not an API key or a token that was exchanged; log in',
      };
    case 'second-factor-required':
    case 'second-factor-invalid':
    case 'step-up-required':
    case 'passkey-invalid':
    case 'passkeys-disabled':
    case 'factor-limit-reached':
      return secondFactorStatus(rejection);
    case 'api-key-limit-reached':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'API_KEY_LIMIT_REACHED',
        message: `${rejection.limit}; ${rejection.advice}`,
      };
    case 'audience-limit-reached':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'AUDIENCE_LIMIT_REACHED',
        message: 'there are as many audiences as there may be; delete one first',
      };
    case 'issuer-taken':
      return {
        code: Code.ALREADY_EXISTS,
        reason: 'ISSUER_TAKEN',
        message: 'the issuer is trusted already; change or delete it instead',
      };
    case 'email-taken':
      return {
        code: Code.ALREADY_EXISTS,
        reason: 'EMAIL_TAKEN',
        message: 'another user has this e-mail',
      };
    case 'id-taken':
      return {
        code: Code.ALREADY_EXISTS,
        reason: 'ID_TAKEN',
        message:
          'the id belongs to another user or a service account, or did before it was deleted; leave it empty, or keep it as external_id',
      };
    case 'external-id-taken':
      return {
        code: Code.ALREADY_EXISTS,
        reason: 'EXTERNAL_ID_TAKEN',
        message: 'another user has this external_id',
      };
    case 'name-taken':
      return {
        code: Code.ALREADY_EXISTS,
        reason: 'NAME_TAKEN',
        message: `another ${rejection.of} has this name; choose another name`,
      };
    case 'last-admin':
      return {
        code: Code.FAILED_PRECONDITION,
        reason: 'LAST_ADMIN',
        message:
          "the change would leave no enabled user with the role 'admin'; make another administrator first",
      };
    case 'no-signing-keys':
      return {
        code: Code.FAILED_PRECONDITION,
        reason: 'NO_SIGNING_KEYS',
        message: 'HS256 mode has no signing keys; change POSTERN_SECRET instead',
      };
    case 'claims-too-long':
      return {
        code: Code.FAILED_PRECONDITION,
        reason: 'CLAIMS_TOO_LONG',
        message: `the roles and external_id of this user do not fit into an access token of ${MAX_ISSUED_TOKEN_BYTES} bytes; an administrator must give the user fewer roles, or see postern doctor; in an exchange ask for fewer roles`,
      };
    case 'not-found':
      return {
        code: Code.NOT_FOUND,
        reason: 'RESOURCE_NOT_FOUND',
        message: `the ${rejection.resource} does not exist`,
      };
    case 'conflict':
      return {
        code: Code.ABORTED,
        reason: 'CONFLICT',
        message: 'the resource was changed concurrently; read it again and retry',
      };
    case 'store-unavailable':
      return {
        code: Code.UNAVAILABLE,
        reason: 'STORE_UNAVAILABLE',
        message: 'the database does not answer; retry later',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'server-overloaded':
      return {
        code: Code.UNAVAILABLE,
        reason: 'SERVER_OVERLOADED',
        message: 'too much work is queued to answer in time; retry later',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'trust-stale':
      return {
        code: Code.UNAVAILABLE,
        reason: 'TRUST_STALE',
        message:
          'keys and revocations are not loaded here yet, or are too old; retry later or call another instance',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'shutting-down':
      return {
        code: Code.UNAVAILABLE,
        reason: 'SHUTTING_DOWN',
        message: 'this process is stopping; call another instance',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'message-too-large':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'MESSAGE_TOO_LARGE',
        message: `the message is larger than ${rejection.maxBytes} bytes; send less`,
      };
    case 'metadata-too-large':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'METADATA_TOO_LARGE',
        message: `the metadata is larger than ${rejection.maxBytes} bytes; send less`,
      };
    case 'reader-too-slow':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'READER_TOO_SLOW',
        message:
          'the stream was not read fast enough; read it without blocking, and reconnect with the last cursor',
      };
    case 'too-many-streams':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'STREAM_LIMIT_REACHED',
        message:
          'too many streams are open on this connection, from this address or in this process; end one before opening another',
      };
    case 'stream-idle':
      return {
        code: Code.UNAVAILABLE,
        reason: 'STREAM_IDLE',
        message: 'the stream was idle for minutes; open it again when it is needed',
      };
    case 'deadline-exceeded':
      return { code: Code.DEADLINE_EXCEEDED, message: 'the deadline passed before the call was finished' };
    case 'cancelled':
      return { code: Code.CANCELLED, message: 'the caller cancelled the call' };
    default:
      return rejection satisfies never;
  }
}

function joinViolations(violations: readonly FieldViolation[]): string {
  return violations
    .map(({ field, description }) => (field ? `${field}: ${description}` : description))
    .join('; ');
}

/** The status of an error that a handler threw. Sets reason and cause in `context` for the log. */
export function statusOfError(
  error: unknown,
  context: { reason?: ReasonName | DenialReason | undefined; cause?: unknown },
): RpcStatus {
  context.cause = error;
  if (!(error instanceof Rejected)) return internalStatus();
  const status = statusOf(error.rejection);
  context.reason = status.reason;
  return status;
}
