import { Rejected } from '../../domain/rejection.ts';
import { StatusCode } from '../../generated/envoy/type/v3/http_status.ts';
import type { DenialReason, ReasonName } from '../../rpc/reasons.ts';
import { statusOf } from '../../rpc/rejection-status.ts';
import { Code } from '../../rpc/status-code.ts';

/** Why a request is denied whose token, if it has one, is good. */
export type DenialCause =
  | { readonly kind: 'role-missing'; readonly required: readonly string[] }
  | { readonly kind: 'identity-unfit'; readonly detail: string }
  | { readonly kind: 'request-unreadable' }
  | { readonly kind: 'route-misconfigured'; readonly detail: string };

/** Carries a `DenialCause` to the one place that answers Envoy. */
export class Denied extends Error {
  readonly denial: DenialCause;

  constructor(denial: DenialCause) {
    super('detail' in denial ? denial.detail : denial.kind);
    this.name = 'Denied';
    this.denial = denial;
  }
}

/** What the downstream client is told. */
export interface Denial {
  readonly http: (typeof StatusCode)['Unauthorized' | 'Forbidden' | 'ServiceUnavailable'];
  readonly code: Code;
  readonly reason: ReasonName | DenialReason;
  readonly message: string;
  /** The parameters of the `Bearer` challenge beside the realm (RFC 6750 section 3); null sends no challenge. */
  readonly challenge: Readonly<Record<string, string>> | null;
  /** A fault of ours or in the route's configuration, which somebody has to mend. */
  readonly isFault: boolean;
}

/** Every way in which a check fails, unknown errors included: whatever went wrong, the request is denied (E01). */
export function denialOf(error: unknown): Denial {
  if (error instanceof Rejected) return fromRejection(error);
  if (!(error instanceof Denied)) return internal;
  const { denial } = error;
  switch (denial.kind) {
    case 'role-missing':
      return forbidden('ROLE_MISSING', 'the token does not have a required role', {
        error: 'insufficient_scope',
        scope: denial.required.join(' '),
      });
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

/** With the reason and the words that VerifyToken has for the same refusal, where they fit an HTTP client. */
function fromRejection({ rejection }: Rejected): Denial {
  const { code, reason, message: status } = statusOf(rejection);
  const isMissing = rejection.kind === 'credentials-missing';
  const message = isMissing ? "the request has no token; send it as 'authorization: Bearer <token>'" : status;
  if (reason === undefined) return internal;
  if (code === Code.UNAVAILABLE) {
    return { ...internal, reason, message, isFault: false };
  }
  if (code !== Code.UNAUTHENTICATED) return internal;
  // RFC 6750 section 3.1: a request without a token learns only that it needs one.
  const challenge: Denial['challenge'] = isMissing
    ? {}
    : { error: 'invalid_token', error_description: message };
  return { http: StatusCode.Unauthorized, code, reason, message, challenge, isFault: false };
}
