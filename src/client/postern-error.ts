import { type Metadata, type ServiceError, status } from '@grpc/grpc-js';

import {
  type AuthenticationRequirement,
  isAuthenticationLevel,
  parseMaxAuthAge,
} from '../domain/claims/authentication.ts';
import type { FieldViolation } from '../domain/rejection.ts';
import { BadRequest, ErrorInfo, RetryInfo } from '../generated/google/rpc/error_details.ts';
import { Status } from '../generated/google/rpc/status.ts';
import type { Reason } from '../generated/postern/v1/reason.ts';

/** The reasons of the contract; a newer service may send others. */
export type PosternReason = Exclude<keyof typeof Reason, 'UNRECOGNIZED' | 'REASON_UNSPECIFIED'>;

/** What the details of a status say. */
type Details = Pick<PosternError, 'reason' | 'retryDelayMs' | 'violations' | 'factors' | 'requirement'>;

/** A rejection by Postern, or a failure to reach it. */
export class PosternError extends Error {
  /** The gRPC status code. */
  readonly code: status;
  /** The ErrorInfo reason; null when the status did not come from Postern (a lost connection, a proxy). */
  readonly reason: PosternReason | null;
  /** How long to wait before a retry, ms; null when the service did not say. */
  readonly retryDelayMs: number | null;
  /** The invalid fields, each with the rule that it breaks. */
  readonly violations: readonly FieldViolation[];
  /** What the user can prove who they are with, for SECOND_FACTOR_REQUIRED: `totp`, `passkey`, `recovery`. */
  readonly factors: readonly string[];
  /** What the token must satisfy, for STEP_UP_REQUIRED; null when the refusal does not say it. A refresh does not help. */
  readonly requirement: AuthenticationRequirement | null;
  /** Identifies the call in the service's log; null when the service did not answer. */
  readonly requestId: string | null;

  constructor(
    message: string,
    facts: Partial<Details & Pick<PosternError, 'requestId'>> & { code: status },
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'PosternError';
    this.code = facts.code;
    this.reason = facts.reason ?? null;
    this.retryDelayMs = facts.retryDelayMs ?? null;
    this.violations = facts.violations ?? [];
    this.factors = facts.factors ?? [];
    this.requirement = facts.requirement ?? null;
    this.requestId = facts.requestId ?? null;
  }
}

/** Converts an error of grpc-js and decodes the status details that Postern sends. */
export function posternErrorOf(error: ServiceError): PosternError {
  const facts = { code: error.code, requestId: requestIdOf(error.metadata), ...detailsOf(error.metadata) };
  return new PosternError(error.details || error.message, facts, { cause: error });
}

/**
 * Whether the connection was lost during a call: grpc-js reports that as INTERNAL, and Postern itself answers INTERNAL
 * only with a request id. The service may have done the work, so only calls that are safe to repeat may be retried.
 */
export function isLost({ code, requestId }: PosternError): boolean {
  return code === status.INTERNAL && requestId === null;
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as Partial<ServiceError>).code === 'number';
}

function requestIdOf(metadata: Metadata | undefined): string | null {
  const [value] = metadata?.get('x-request-id') ?? [];
  return typeof value === 'string' ? value : null;
}

/** A refusal of a valid token, as Postern makes it. */
export function stepUpRequired(message: string, requirement: AuthenticationRequirement): PosternError {
  return new PosternError(message, {
    code: status.UNAUTHENTICATED,
    reason: 'STEP_UP_REQUIRED',
    requirement,
  });
}

/** The reason in the status of a call. */
export function reasonIn(metadata: Metadata | undefined): PosternReason | null {
  return detailsOf(metadata).reason ?? null;
}

function detailsOf(metadata: Metadata | undefined): Partial<Details> {
  const [bytes] = metadata?.get('grpc-status-details-bin') ?? [];
  if (!(bytes instanceof Buffer)) return {};
  const facts: { -readonly [K in keyof Details]?: Details[K] } = {};
  try {
    for (const { typeUrl, value } of Status.decode(bytes).details) {
      if (typeUrl.endsWith('/google.rpc.ErrorInfo')) {
        const { domain, reason, metadata: entries } = ErrorInfo.decode(value);
        if (domain !== 'postern') continue;
        facts.reason = reason as PosternReason;
        if (entries['factors'] !== undefined) facts.factors = entries['factors'].split(',');
        facts.requirement = requirementIn(entries);
      } else if (typeUrl.endsWith('/google.rpc.RetryInfo')) {
        const { retryDelay } = RetryInfo.decode(value);
        if (retryDelay) facts.retryDelayMs = retryDelay.seconds * 1000 + retryDelay.nanos / 1e6;
      } else if (typeUrl.endsWith('/google.rpc.BadRequest')) {
        facts.violations = BadRequest.decode(value).fieldViolations.map(({ field, description }) => ({
          field,
          description,
        }));
      }
    }
  } catch {
    // A proxy may have set something else in this header; the status code is valid all the same.
  }
  return facts;
}

/** From the parameters of RFC 9470; null without any that this release knows. */
function requirementIn(entries: Readonly<Record<string, string>>): AuthenticationRequirement | null {
  const { acr_values: acr, max_age: age } = entries;
  const minAcr = isAuthenticationLevel(acr) ? acr : null;
  const maxAuthAgeSeconds = age === undefined ? null : parseMaxAuthAge(age);
  return minAcr === null && maxAuthAgeSeconds === null ? null : { minAcr, maxAuthAgeSeconds };
}
