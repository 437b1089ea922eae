import type { CallOrigin } from './operation-call.ts';

/** The actions that the audit trail records. Append-only: operators filter by these names. */
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
  'service.key.add',
  'service.key.delete',
  'service.update',
  'token.exchange',
  'audience.create',
  'audience.read',
  'audience.delete',
  'issuer.create',
  'issuer.read',
  'issuer.update',
  'issuer.delete',
  'binding.create',
  'binding.read',
  'binding.delete',
  'key.api.create',
  'key.api.read',
  'key.api.rotate',
  'key.api.revoke',
  'session.step-up',
  'factor.enrol',
  'factor.add',
  'factor.delete',
  'factor.read',
  'factor.reset',
  'factor.wrong-codes',
  'recovery-codes.replace',
  'recovery-code.use',
  'overview.read',
] as const;

export type AuditAction = (typeof auditActions)[number];

export const auditOutcomes = ['ok', 'refused'] as const;

/**
 * Who acted: an unknown caller, a user, a service account, the owner of a client certificate, or an operator who runs
 * commands with direct access to the database.
 */
export interface AuditActor {
  readonly type: 'anonymous' | 'user' | 'service' | 'certificate' | 'operator';
  /** The id of the user or service account, the name in the certificate, or the operator as `HOST/USER`. */
  readonly id: string | null;
}

/** The actor and the origin of a call, for operations without a budget. */
export interface AuditedBy {
  readonly actor: AuditActor;
  readonly origin: CallOrigin;
}

export interface AuditTarget {
  readonly type:
    | 'user'
    | 'session'
    | 'token'
    | 'service'
    | 'signing-key'
    | 'audience'
    | 'issuer'
    | 'binding'
    | 'api-key'
    | 'factor';
  readonly id: string;
}

/** One entry of the audit trail. Contains no e-mail, password, token or hash. */
export interface AuditEvent {
  readonly action: AuditAction;
  readonly outcome: (typeof auditOutcomes)[number];
  readonly actor: AuditActor;
  readonly target?: AuditTarget | null;
  /** The ErrorInfo reason of a refusal, or a word on why the action was taken. */
  readonly reason?: string;
  /** The changed values, before and after. */
  readonly details?: Readonly<Record<string, unknown>>;
}
