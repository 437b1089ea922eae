import type { AuditActor, AuditTarget } from './audit-event.ts';
import type { AuthenticationRequirement } from './claims/authentication.ts';
import type { CallOrigin } from './operation-call.ts';

/** The default retry delay for a temporary refusal. */
export const RETRY_AFTER_MS = 1_000;

/** Why a token is refused; the names are those of the `Reason` enum in the public contract. */
export type TokenRefusalReason =
  | 'TOKEN_MALFORMED'
  | 'TOKEN_TOO_LARGE'
  | 'TOKEN_ALG_NOT_ALLOWED'
  | 'TOKEN_KEY_UNKNOWN'
  | 'TOKEN_SIGNATURE_INVALID'
  | 'TOKEN_TYPE_INVALID'
  | 'TOKEN_CLAIMS_INVALID'
  | 'TOKEN_EXPIRED'
  | 'TOKEN_NOT_YET_VALID'
  | 'TOKEN_REVOKED'
  | 'TOKEN_REPLAYED';

/** A refused token. `detail` names the broken rule in fixed words and never contains text of the token. */
export interface TokenRefusal {
  readonly reason: TokenRefusalReason;
  readonly detail: string;
}

/** Why a refresh token is refused. In every case the user must log in again. */
export type RefreshRefusalReason =
  'REFRESH_TOKEN_INVALID' | 'REFRESH_TOKEN_EXPIRED' | 'REFRESH_TOKEN_REUSED' | 'REFRESH_TOKEN_REVOKED';

/**
 * The credential that a method takes: an access token in the metadata, one in a field of the request as well, or in its
 * place a client certificate; or the proof that is exchanged for one.
 */
export type AcceptedCredential =
  'token' | 'token-in-field' | 'token-or-certificate' | 'subject-token-or-certificate';

/** What a user can use as a second factor. */
export type SecondFactorName = 'totp' | 'passkey' | 'recovery';

/** Whose credential was refused, as far as it is certain; for the audit trail. */
export interface RefusedSubject {
  /** Set when the caller proved its identity although the call was refused. */
  readonly actor?: AuditActor;
  readonly target?: AuditTarget;
}

/** Details of a refused login, for the log and the audit trail. */
interface RefusedLogin {
  /** A keyed hash of the e-mail, never its text: people type passwords into that field (O05). */
  readonly account?: string;
  /** The client that a trusted forwarder named in the request (L12). */
  readonly origin?: CallOrigin;
  /** The refusal delay, ms, which starts after the refusal has been counted and audited (L02). */
  readonly delayMs?: number;
}

/** One broken field rule. `field` is the proto path, `description` one line that says what to do. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/**
 * Every way in which Postern refuses a call, with the details for the log. `rpc/rejection-status.ts` maps it to the status
 * that the caller gets. Several causes deliberately have the same status.
 */
export type Rejection =
  | ({
      readonly kind: 'invalid-credentials';
      readonly subject?: RefusedSubject;
      readonly cause:
        | 'unknown-user'
        | 'wrong-password'
        | 'disabled'
        | 'no-password'
        | 'malformed-secret'
        | 'unknown-service'
        | 'wrong-secret'
        | 'unknown-key'
        | 'forged-key'
        | 'wrong-signature';
    } & RefusedLogin)
  /**
   * `accepts` says which credential the method takes, and where. `isCertificateNameless`: there is a verified client
   * certificate, without a URI or DNS name.
   */
  | {
      readonly kind: 'credentials-missing';
      readonly accepts: AcceptedCredential;
      readonly isCertificateNameless?: boolean;
    }
  | {
      readonly kind: 'reset-token-invalid';
      readonly cause: 'malformed' | 'unknown-or-old' | 'disabled';
      readonly subject?: RefusedSubject;
    }
  | { readonly kind: 'token-refused'; readonly refusal: TokenRefusal; readonly subject?: RefusedSubject }
  | {
      readonly kind: 'refresh-refused';
      readonly reason: RefreshRefusalReason;
      readonly cause:
        'malformed' | 'unknown' | 'forged' | 'disabled' | 'audience' | 'expired' | 'ended' | 'reused';
      readonly subject?: RefusedSubject;
    }
  | { readonly kind: 'field-invalid'; readonly violations: readonly FieldViolation[] }
  | { readonly kind: 'password-policy'; readonly violations: readonly FieldViolation[] }
  | { readonly kind: 'refresh-rate-limited'; readonly retryAfterMs: number }
  | ({ readonly kind: 'login-rate-limited'; readonly retryAfterMs: number } & RefusedLogin)
  | {
      readonly kind: 'admin-required';
      readonly caller: { readonly type: 'user' | 'service' | 'certificate'; readonly id: string };
      readonly certificateNames?: readonly string[];
    }
  /** `certificateNames`: those of the caller's verified client certificate, none of which is listed. */
  | { readonly kind: 'service-required'; readonly certificateNames?: readonly string[] }
  /** `issuer-not-trusted`: no trusted issuer has the `iss` of the token; `identity-not-bound`: no binding matches it. */
  | {
      readonly kind: 'issuer-not-trusted' | 'identity-not-bound';
      readonly subject?: RefusedSubject;
    }
  /** The keys of a trusted issuer could not be fetched; `cause` is for the log. */
  | { readonly kind: 'issuer-keys-unavailable'; readonly cause: string; readonly retryAfterMs: number }
  /** `detail` says in fixed words what may not be exchanged, and what to do. */
  | { readonly kind: 'exchange-not-allowed'; readonly detail: string; readonly subject?: RefusedSubject }
  /** `cause` is for the log only: the caller gets the same answer for all of them. */
  | {
      readonly kind: 'api-key-invalid';
      readonly cause: 'malformed' | 'unknown' | 'revoked' | 'expired' | 'owner-disabled' | 'network';
      readonly subject?: RefusedSubject;
    }
  | { readonly kind: 'credential-not-allowed'; readonly caller?: AuditActor }
  /** The password was right. `factors`: what the user can use. */
  | ({
      readonly kind: 'second-factor-required';
      readonly factors: readonly SecondFactorName[];
      readonly subject?: RefusedSubject;
    } & RefusedLogin)
  /** `cause` is for the log and the audit trail only. */
  | ({
      readonly kind: 'second-factor-invalid';
      readonly cause: 'wrong' | 'used' | 'too-many-failures' | 'unreadable';
      readonly subject?: RefusedSubject;
    } & RefusedLogin)
  /** `cause` is for the log and the audit trail only: the caller gets the same answer for all of them. */
  | ({
      readonly kind: 'passkey-invalid';
      readonly cause: string;
      readonly subject?: RefusedSubject;
    } & RefusedLogin)
  /** `requirement`: what the token must satisfy, where it can be said in the terms of RFC 9470. */
  | {
      readonly kind: 'step-up-required';
      readonly detail: string;
      readonly requirement?: AuthenticationRequirement;
      readonly caller?: AuditActor;
    }
  /** `detail` says why there are no passkeys, and what to do. */
  | { readonly kind: 'passkeys-disabled'; readonly detail: string }
  | { readonly kind: 'factor-limit-reached'; readonly max: number }
  /** `limit` says which, and `advice` what to do. */
  | { readonly kind: 'api-key-limit-reached'; readonly limit: string; readonly advice: string }
  | { readonly kind: 'audience-limit-reached' }
  | { readonly kind: 'issuer-taken' }
  | { readonly kind: 'email-taken' }
  | { readonly kind: 'id-taken' }
  | { readonly kind: 'external-id-taken' }
  | { readonly kind: 'name-taken'; readonly of: 'service account' | 'API key of the owner' }
  | { readonly kind: 'last-admin' }
  | { readonly kind: 'no-signing-keys' }
  /** Roles and `external_id` were accepted under other settings, and fit into no token now (T26). */
  | { readonly kind: 'claims-too-long' }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'not-found'; readonly resource: string }
  | { readonly kind: 'store-unavailable'; readonly cause: string; readonly retryAfterMs: number }
  | { readonly kind: 'server-overloaded'; readonly cause: string; readonly retryAfterMs: number }
  | { readonly kind: 'trust-stale'; readonly retryAfterMs: number }
  | { readonly kind: 'shutting-down'; readonly retryAfterMs: number }
  | { readonly kind: 'message-too-large'; readonly maxBytes: number }
  | { readonly kind: 'metadata-too-large'; readonly maxBytes: number }
  | { readonly kind: 'reader-too-slow' }
  | { readonly kind: 'too-many-streams' }
  | { readonly kind: 'stream-idle' }
  | { readonly kind: 'deadline-exceeded' }
  | { readonly kind: 'cancelled' };

/** The error that carries a `Rejection` to the transport. */
export class Rejected extends Error {
  readonly rejection: Rejection;

  constructor(rejection: Rejection, options?: ErrorOptions) {
    super(rejection.kind, options);
    this.name = 'Rejected';
    this.rejection = rejection;
  }
}

/** The refusal delay of an error, ms; 0 for most errors. */
export function refusalDelayMs(error: unknown): number {
  const isDelayed = error instanceof Rejected && error.rejection.kind === 'invalid-credentials';
  return isDelayed ? (error.rejection.delayMs ?? 0) : 0;
}
