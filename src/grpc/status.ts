import { Metadata, type StatusObject, status as Code } from '@grpc/grpc-js';

import type { FieldViolation, RefreshRefusalReason, Rejection } from '../domain/rejection.ts';
import { Reason } from '../generated/postern/v1/reason.ts';
import { BadRequest, ErrorInfo, RetryInfo } from '../generated/google/rpc/error_details.ts';
import { Status } from '../generated/google/rpc/status.ts';

export type ReasonName = Exclude<keyof typeof Reason, 'UNRECOGNIZED' | 'REASON_UNSPECIFIED'>;

/** What the caller is told of a refusal. */
interface Refusal {
  readonly code: Code;
  /** Absent for the statuses that gRPC itself defines. */
  readonly reason?: ReasonName;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly violations?: readonly FieldViolation[];
}

/** A status as it goes out, with its reason's name for the log. */
export interface RefusedStatus extends StatusObject {
  readonly reason: ReasonName | undefined;
}

/** The one way from a refusal to the wire. Equal refusals are equal to the byte. */
export function statusOf(rejection: Rejection): RefusedStatus {
  const refusal = refusalOf(rejection);
  return {
    code: refusal.code,
    details: refusal.message,
    metadata: detailsOf(refusal),
    reason: refusal.reason,
  };
}

const MAX_TEXT_LENGTH = 1_024;

/** What a status says, as it may go into a header: not endless, and without half characters. */
export function presentableText(details: string): string {
  return details.slice(0, MAX_TEXT_LENGTH).toWellFormed();
}

/** The one answer to a message that cannot be decoded. */
export function unreadableRequest(): RefusedStatus {
  const description = 'the request is not a valid message of this method; check its encoding';
  return statusOf({ kind: 'field-invalid', violations: [{ field: '', description }] });
}

/** For faults of our own: the caller learns nothing of them but the request id in the trailer. */
export function internalStatus(): StatusObject {
  return {
    code: Code.INTERNAL,
    details: 'internal error; report the x-request-id of this call to the operator',
    metadata: new Metadata(),
  };
}

function refusalOf(rejection: Rejection): Refusal {
  switch (rejection.kind) {
    case 'invalid-credentials':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'INVALID_CREDENTIALS',
        message: 'the credentials are wrong',
      };
    case 'credentials-missing':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'CREDENTIALS_MISSING',
        message: "send the token in the request, or once as metadata 'authorization: Bearer <token>'",
      };
    case 'reset-token-invalid':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'RESET_TOKEN_INVALID',
        message: 'the reset token is not good, or not any more; ask an administrator for another',
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
        message: oneLine(rejection.violations),
        violations: rejection.violations,
      };
    case 'password-policy':
      return {
        code: Code.INVALID_ARGUMENT,
        reason: 'PASSWORD_POLICY',
        message: oneLine(rejection.violations),
        violations: rejection.violations,
      };
    case 'login-rate-limited':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'LOGIN_RATE_LIMITED',
        message: 'too many failed logins; wait before the next one',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'refresh-rate-limited':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'REFRESH_RATE_LIMITED',
        message: 'this refresh token came again too often; go on with the tokens that it was exchanged for',
        retryAfterMs: rejection.retryAfterMs,
      };
    case 'admin-required':
      return {
        code: Code.PERMISSION_DENIED,
        reason: 'ADMIN_REQUIRED',
        message: "the caller needs the role 'admin'",
      };
    case 'service-required':
      return {
        code: Code.PERMISSION_DENIED,
        reason: 'SERVICE_REQUIRED',
        message: "the caller needs a service account's access token, or a certificate with a listed name",
      };
    case 'email-taken':
      return {
        code: Code.ALREADY_EXISTS,
        reason: 'EMAIL_TAKEN',
        message: 'another user has this e-mail',
      };
    case 'name-taken':
      return {
        code: Code.ALREADY_EXISTS,
        reason: 'NAME_TAKEN',
        message: 'another service account has this name',
      };
    case 'last-admin':
      return {
        code: Code.FAILED_PRECONDITION,
        reason: 'LAST_ADMIN',
        message: "the change would leave no enabled user with the role 'admin'",
      };
    case 'no-signing-keys':
      return {
        code: Code.FAILED_PRECONDITION,
        reason: 'NO_SIGNING_KEYS',
        message: 'in HS256 mode there are no signing keys; change the secret in the settings',
      };
    case 'not-found':
      return {
        code: Code.NOT_FOUND,
        reason: 'RESOURCE_NOT_FOUND',
        message: `no such ${rejection.what}`,
      };
    case 'conflict':
      return {
        code: Code.ABORTED,
        reason: 'CONFLICT',
        message: 'somebody else changed the same thing at this moment: read it again and retry',
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
          'keys and revocations are not known here yet, or too old; retry later or call another instance',
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
          'this stream was not read fast enough; read on a thread that is free, and reconnect with the last cursor',
      };
    case 'too-many-streams':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'STREAM_LIMIT_REACHED',
        message:
          'too many streams are open on this connection, from this address or in this process; end one before the next',
      };
    case 'stream-idle':
      return {
        code: Code.UNAVAILABLE,
        reason: 'STREAM_IDLE',
        message: 'nothing was said on this stream for minutes; open it again when it is needed',
      };
    case 'deadline-exceeded':
      return { code: Code.DEADLINE_EXCEEDED, message: 'the deadline passed before the work was done' };
    case 'cancelled':
      return { code: Code.CANCELLED, message: 'the caller cancelled the call' };
    default:
      return rejection satisfies never;
  }
}

const refreshMessages: Readonly<Record<RefreshRefusalReason, string>> = {
  REFRESH_TOKEN_INVALID: 'this is not a refresh token of this service; log in again',
  REFRESH_TOKEN_EXPIRED: 'the session has expired; log in again',
  REFRESH_TOKEN_REUSED: 'the refresh token was used before, so its session has ended; log in again',
  REFRESH_TOKEN_REVOKED: 'the session has ended; log in again',
};

function oneLine(violations: readonly FieldViolation[]): string {
  return violations
    .map(({ field, description }) => (field ? `${field}: ${description}` : description))
    .join('; ');
}

/** The details of a refusal as `grpc-status-details-bin` carries them (google.rpc.Status). */
function detailsOf(refusal: Refusal): Metadata {
  const metadata = new Metadata();
  if (!refusal.reason) return metadata;
  const details = [
    packed('google.rpc.ErrorInfo', ErrorInfo, { reason: refusal.reason, domain: 'postern', metadata: {} }),
  ];
  if (refusal.retryAfterMs !== undefined) {
    const seconds = Math.floor(refusal.retryAfterMs / 1000);
    const nanos = Math.round((refusal.retryAfterMs - seconds * 1000) * 1e6);
    details.push(packed('google.rpc.RetryInfo', RetryInfo, { retryDelay: { seconds, nanos } }));
  }
  if (refusal.violations) {
    const fieldViolations = refusal.violations.map(({ field, description }) => ({
      field,
      description,
      reason: '',
      localizedMessage: undefined,
    }));
    details.push(packed('google.rpc.BadRequest', BadRequest, { fieldViolations }));
  }
  const status = Status.encode({ code: refusal.code, message: refusal.message, details }).finish();
  metadata.set('grpc-status-details-bin', Buffer.from(status));
  return metadata;
}

function packed<Message>(
  name: string,
  codec: { encode(message: Message): { finish(): Uint8Array } },
  message: Message,
): { typeUrl: string; value: Buffer } {
  return { typeUrl: `type.googleapis.com/${name}`, value: Buffer.from(codec.encode(message).finish()) };
}
