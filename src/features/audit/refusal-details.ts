import type { AuditActor, AuditTarget } from '../../domain/audit-event.ts';
import type { CallOrigin } from '../../domain/operation-call.ts';
import type { Rejection } from '../../domain/rejection.ts';

/** What the audit trail records of a refusal beside its reason. It contains no text that the caller chose. */
export interface RefusalDetails {
  readonly actor?: AuditActor;
  readonly target?: AuditTarget;
  readonly origin?: CallOrigin;
  readonly details?: Readonly<Record<string, string>>;
}

/**
 * The details to record when a credential was refused, or null when nothing is to be recorded: invalid fields, values
 * that were never issued as a credential, and faults of the service. Reuse of a refresh token yields null as well: the
 * transaction that ends the session has recorded it.
 */
export function credentialRefusalDetails(rejection: Rejection): RefusalDetails | null {
  switch (rejection.kind) {
    case 'invalid-credentials': {
      const { cause, account, origin, subject } = rejection;
      if (cause === 'malformed-secret') return null;
      return {
        ...subject,
        ...(origin && { origin }),
        details: { cause, ...(account !== undefined && { account }) },
      };
    }
    case 'login-rate-limited': {
      const { account, origin } = rejection;
      return { ...(origin && { origin }), ...(account !== undefined && { details: { account } }) };
    }
    case 'refresh-refused':
    case 'reset-token-invalid': {
      const { cause, subject } = rejection;
      return cause === 'malformed' || cause === 'reused' ? null : { ...subject, details: { cause } };
    }
    case 'api-key-invalid': {
      const { cause, subject } = rejection;
      return cause === 'malformed' ? null : { ...subject, details: { cause } };
    }
    case 'second-factor-required': {
      const { account, origin, subject } = rejection;
      return {
        ...subject,
        ...(origin && { origin }),
        ...(account !== undefined && { details: { account } }),
      };
    }
    case 'second-factor-invalid':
    case 'passkey-invalid': {
      const { cause, account, origin, subject } = rejection;
      return {
        ...subject,
        ...(origin && { origin }),
        details: { cause, ...(account !== undefined && { account }) },
      };
    }
    case 'step-up-required':
      return rejection.caller === undefined ? {} : { actor: rejection.caller };
    case 'issuer-not-trusted':
    case 'identity-not-bound':
    case 'exchange-not-allowed':
    case 'token-refused':
      return { ...rejection.subject };
    case 'credential-not-allowed':
      return rejection.caller === undefined ? {} : { actor: rejection.caller };
    case 'credentials-missing':
      return {};
    case 'admin-required':
    case 'service-required':
    case 'refresh-rate-limited':
    case 'field-invalid':
    case 'password-policy':
    case 'passkeys-disabled':
    case 'factor-limit-reached':
    case 'api-key-limit-reached':
    case 'audience-limit-reached':
    case 'issuer-taken':
    case 'email-taken':
    case 'id-taken':
    case 'external-id-taken':
    case 'name-taken':
    case 'last-admin':
    case 'no-signing-keys':
    case 'claims-too-long':
    case 'conflict':
    case 'not-found':
    case 'issuer-keys-unavailable':
    case 'store-unavailable':
    case 'server-overloaded':
    case 'trust-stale':
    case 'shutting-down':
    case 'message-too-large':
    case 'metadata-too-large':
    case 'reader-too-slow':
    case 'too-many-streams':
    case 'stream-idle':
    case 'deadline-exceeded':
    case 'cancelled':
      return null;
    default:
      return rejection satisfies never;
  }
}
