import type { CallOrigin } from './operation-call.ts';

/** Everything that the audit trail records, by name; append-only, since people filter by them. */
export const auditActions = [
  'login',
  'token.refresh',
  'token.reuse',
  'token.revoke',
  'service.token',
  'password.change',
  'password.reset',
  'password.reset.create',
  'user.create',
  'user.update',
  'user.disable',
  'user.enable',
  'user.delete',
  'user.import',
  'user.import.batch',
  'user.read',
  'session.read',
  'session.revoke',
  'service.create',
  'service.read',
  'service.delete',
  'service.rotate',
  'key.read',
  'key.rotate',
  'key.revoke',
  'audit.read',
  'trust.watch',
] as const;

export type AuditAction = (typeof auditActions)[number];

export const auditOutcomes = ['ok', 'refused'] as const;

/**
 * Who did it: nobody known, a person, a service account, the holder of a client certificate, or whoever runs commands
 * beside the database.
 */
export interface AuditActor {
  readonly type: 'anonymous' | 'user' | 'service' | 'certificate' | 'operator';
  /** A user's or a service account's id, or the certificate's name. */
  readonly id: string | null;
}

/** Who did something and where the call came from, for operations that have no call's budget. */
export interface AuditedBy {
  readonly actor: AuditActor;
  readonly origin: CallOrigin;
}

export interface AuditTarget {
  readonly type: 'user' | 'session' | 'token' | 'service' | 'signing-key';
  readonly id: string;
}

/** One thing that happened or was refused. Carries no e-mail, password, token or hash. */
export interface AuditEvent {
  readonly action: AuditAction;
  readonly outcome: (typeof auditOutcomes)[number];
  readonly actor: AuditActor;
  readonly target?: AuditTarget | null;
  /** The ErrorInfo reason of what was refused, or a word on why it was done. */
  readonly reason?: string;
  /** What changed, before and after. */
  readonly details?: Readonly<Record<string, unknown>>;
}
