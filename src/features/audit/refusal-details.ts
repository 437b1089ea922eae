import type { AuditActor, AuditTarget } from '../../domain/audit-event.ts';
import type { CallOrigin } from '../../domain/operation-call.ts';
import type { Rejection } from '../../domain/rejection.ts';

/** What the audit trail keeps of a refusal beside its reason; no text of the caller's. */
export interface RefusalDetails {
  readonly actor?: AuditActor;
  readonly target?: AuditTarget;
  readonly origin?: CallOrigin;
  readonly details?: Readonly<Record<string, string>>;
}

/**
 * What is worth keeping of a refused credential; null for what is no attempt with one: broken fields, junk that was never
 * issued by anybody, faults. A refresh token that was used before has its event from the transaction that ends the session.
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
    case 'token-refused':
    case 'credentials-missing':
      return {};
    case 'admin-required':
    case 'service-required':
    case 'refresh-rate-limited':
    case 'field-invalid':
    case 'password-policy':
    case 'email-taken':
    case 'name-taken':
    case 'last-admin':
    case 'no-signing-keys':
    case 'conflict':
    case 'not-found':
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
