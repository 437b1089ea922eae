import {
  type AuthenticationRequirement,
  NO_AUTHENTICATION_REQUIREMENT,
  stepUpParameters,
} from '../../domain/claims/authentication.ts';
import { Rejected } from '../../domain/rejection.ts';
import { StatusCode } from '../../generated/envoy/type/v3/http_status.ts';
import type { PolicyRefusal } from '../../policy/method-policy.ts';
import type { DenialReason, ReasonName } from '../../rpc/reasons.ts';
import { statusOf } from '../../rpc/rejection-status.ts';
import { Code } from '../../rpc/status-code.ts';

/** Why a request is denied although its token, if it has one, is valid. */
export type DenialCause =
  | { readonly kind: 'role-missing'; readonly required: readonly string[] }
  | { readonly kind: 'actor-not-allowed' }
  /** `roles` are those that the rule requires, encoded as in `x-postern-roles`. */
  | {
      readonly kind: 'policy-unmet';
      readonly refusal: PolicyRefusal;
      readonly roles: readonly string[];
      readonly requirement: AuthenticationRequirement;
    }
  | { readonly kind: 'identity-unfit'; readonly detail: string }
  | { readonly kind: 'request-unreadable' }
  | { readonly kind: 'route-misconfigured'; readonly detail: string };

/** Carries a `DenialCause` to the handler, which answers Envoy. */
export class Denied extends Error {
  readonly denial: DenialCause;

  constructor(denial: DenialCause) {
    super('detail' in denial ? denial.detail : denial.kind);
    this.name = 'Denied';
    this.denial = denial;
  }
}

/** The response to the downstream client. */
export interface Denial {
  readonly http: (typeof StatusCode)['Unauthorized' | 'Forbidden' | 'ServiceUnavailable'];
  readonly code: Code;
  readonly reason: ReasonName | DenialReason;
  readonly message: string;
  /**
   * The parameters of the `Bearer` challenge in addition to the realm (RFC 6750 section 3). Null sends no challenge.
   */
  readonly challenge: Readonly<Record<string, string>> | null;
  /** A fault of this service or of the route's configuration, which the operator must correct. */
  readonly isFault: boolean;
}

/** The denial for any error of a check. Unknown errors deny the request as well (E01). */
export function denialOf(error: unknown): Denial {
  if (error instanceof Rejected) return fromRejection(error);
  if (!(error instanceof Denied)) return internal;
  const { denial } = error;
  switch (denial.kind) {
    case 'role-missing':
      return roleMissing(denial.required);
    case 'actor-not-allowed':
      return forbidden('ACTOR_NOT_ALLOWED', 'the token names no service that may act here', null);
    case 'policy-unmet':
      return policyUnmet(denial);
    case 'identity-unfit':
      return forbidden('IDENTITY_UNFIT', denial.detail, null);
    case 'request-unreadable':
      return forbidden('REQUEST_UNREADABLE', 'the HTTP headers of the request cannot be read', null);
    case 'route-misconfigured':
      return {
        ...internal,
        reason: 'ROUTE_MISCONFIGURED',
        message: 'the ext_authz configuration of this route is invalid; report it to the operator',
      };
    default:
      return denial satisfies never;
  }
}

const internal: Denial = {
  http: StatusCode.ServiceUnavailable,
  code: Code.UNAVAILABLE,
  reason: 'INTERNAL',
  message: 'the request could not be checked; report it to the operator',
  challenge: null,
  isFault: true,
};

function roleMissing(roles: readonly string[]): Denial {
  return forbidden('ROLE_MISSING', 'the token does not have a required role', {
    error: 'insufficient_scope',
    scope: roles.join(' '),
  });
}

function policyUnmet({
  refusal: { reason, detail },
  roles,
  requirement,
}: Extract<DenialCause, { kind: 'policy-unmet' }>): Denial {
  switch (reason) {
    case 'STEP_UP_REQUIRED':
      return stepUpRequired(detail, requirement);
    case 'ROLE_MISSING':
      return roleMissing(roles);
    case 'TOKEN_CLAIMS_INVALID':
      return tokenInvalid(reason, Code.UNAUTHENTICATED, detail);
    case 'METHOD_NOT_LISTED':
    case 'ACTOR_NOT_ALLOWED':
      return forbidden(reason, detail, null);
  }
}

function tokenInvalid(reason: Denial['reason'], code: Code, message: string): Denial {
  const challenge = { error: 'invalid_token', error_description: message };
  return { http: StatusCode.Unauthorized, code, reason, message, challenge, isFault: false };
}

/** RFC 9470 section 3. */
function stepUpRequired(message: string, requirement: AuthenticationRequirement): Denial {
  const denial = tokenInvalid('STEP_UP_REQUIRED', Code.UNAUTHENTICATED, message);
  return {
    ...denial,
    challenge: { error: 'insufficient_user_authentication', ...stepUpParameters(requirement) },
  };
}

function forbidden(reason: Denial['reason'], message: string, challenge: Denial['challenge']): Denial {
  return {
    http: StatusCode.Forbidden,
    code: Code.PERMISSION_DENIED,
    reason,
    message,
    challenge,
    isFault: false,
  };
}

/** With the reason of VerifyToken for the same rejection, and its message where that makes sense to an HTTP client. */
function fromRejection({ rejection }: Rejected): Denial {
  const { code, reason, message: statusMessage } = statusOf(rejection);
  const isMissing = rejection.kind === 'credentials-missing';
  const message = isMissing
    ? "the request has no token; send it as 'authorization: Bearer <token>'"
    : statusMessage;
  if (reason === undefined) return internal;
  if (code === Code.UNAVAILABLE) {
    return { ...internal, reason, message, isFault: false };
  }
  if (code !== Code.UNAUTHENTICATED) return internal;
  if (rejection.kind === 'step-up-required')
    return stepUpRequired(message, rejection.requirement ?? NO_AUTHENTICATION_REQUIREMENT);
  const denial = tokenInvalid(reason, code, message);
  // RFC 6750 section 3.1: the challenge to a request without a token has no error code.
  return isMissing ? { ...denial, challenge: {} } : denial;
}
