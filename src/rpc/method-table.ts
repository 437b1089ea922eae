import type { AuditAction } from '../domain/audit-event.ts';
import type { AccessClass } from '../domain/caller.ts';
import type { AuthorizationService } from '../generated/envoy/service/auth/v3/external_auth.ts';
import type { AdminServiceService } from '../generated/postern/v1/admin.ts';
import type { AuthServiceService } from '../generated/postern/v1/auth.ts';
import type { HealthService } from '../generated/grpc/health/v1/health.ts';
import type { TrustServiceService } from '../generated/postern/v1/trust.ts';
import { IMPORT_DEADLINE_MS, STANDARD_DEADLINE_MS } from './time-limits.ts';

/** What a call is called in the audit trail, and what `method-guard.ts` writes of it. */
export interface MethodAudit {
  readonly action: AuditAction;
  /** Who writes a success down: the operation with its change, `method-guard.ts`, or nobody. */
  readonly success: 'with-change' | 'here' | 'nobody';
  /** Whether every refusal and failure is written, or those of a credential only. */
  readonly refusals: 'all' | 'of-credentials';
}

/** Who may call a method, whether every call is audited, and how long the server works on it. */
export interface MethodRule {
  readonly access: AccessClass;
  /** Whether callers through a unix socket need no credential: the file's permissions have let them in. */
  readonly openToUnixSockets?: boolean;
  /** The server answers DEADLINE_EXCEEDED after this time even when the caller would wait longer; null for a stream that has no end. */
  readonly deadlineMs: number | null;
  /** Whether the server answers ordinary calls on the HTTP/2 stream itself: `the fast path`. */
  readonly isHot?: boolean;
  /** Whether a success is told in the log, too: who logged in, out or was changed. */
  readonly isEvent?: boolean;
  /** Whether the request says for whom a caller calls (`client`): a service's credential is looked at then (L12). */
  readonly namesClient?: boolean;
  /** Absent where nothing is refused that the trail keeps, and operations say what is audited. */
  readonly audit?: MethodAudit;
}

/** Administration is audited call by call (A07): a row that does not say how is a type error. */
interface AdminRule extends MethodRule {
  readonly access: 'admin';
  readonly audit: MethodAudit;
}

type ServiceRules<Service, Rule = MethodRule> = { readonly [Method in keyof Service]: Rule };

const open = { access: 'public', deadlineMs: STANDARD_DEADLINE_MS } as const;
const openEvent = { ...open, isEvent: true } as const;
const userEvent = { access: 'user', deadlineMs: STANDARD_DEADLINE_MS, isEvent: true } as const;
/** Checks a credential: its operation audits what comes of a good one in its transaction. */
const credentialCheck = (action: AuditAction, rule: MethodRule = openEvent): MethodRule => ({
  ...rule,
  audit: { action, success: 'with-change', refusals: 'of-credentials' },
});
const openStream = { access: 'public', deadlineMs: null } as const;

const authService: ServiceRules<typeof AuthServiceService> = {
  login: credentialCheck('login', { ...openEvent, namesClient: true }),
  verifyToken: { ...open, isHot: true },
  refreshToken: credentialCheck('token.refresh'),
  // What is refused here is not told apart from what was good (RFC 7009).
  revokeToken: openEvent,
  issueServiceToken: credentialCheck('service.token'),
  changePassword: credentialCheck('password.change', userEvent),
  resetPassword: credentialCheck('password.reset'),
  getJwks: open,
};

const adminService: ServiceRules<typeof AdminServiceService, AdminRule> = {
  createUser: change('user.create'),
  getUser: read('user.read'),
  listUsers: read('user.read'),
  updateUser: change('user.update'),
  deleteUser: change('user.delete'),
  importUsers: { ...change('user.import'), deadlineMs: IMPORT_DEADLINE_MS },
  createPasswordReset: change('password.reset.create'),
  listSessions: read('session.read'),
  revokeSessions: change('session.revoke'),
  createServiceAccount: change('service.create'),
  listServiceAccounts: read('service.read'),
  deleteServiceAccount: change('service.delete'),
  rotateServiceSecret: change('service.rotate'),
  listSigningKeys: read('key.read'),
  rotateSigningKey: change('key.rotate'),
  revokeSigningKey: change('key.revoke'),
  listAuditEvents: read('audit.read'),
};

/** Answers within its own, shorter time: a denial with the reason, where the deadline would be a status without one. */
const authorization: ServiceRules<typeof AuthorizationService> = { check: { ...open, isHot: true } };
const trustService: ServiceRules<typeof TrustServiceService> = {
  watchTrust: {
    access: 'service',
    deadlineMs: null,
    openToUnixSockets: true,
    // Those that watch come again after every restart, with or without a database; the tokens they got are audited.
    audit: { action: 'trust.watch', success: 'nobody', refusals: 'of-credentials' },
  },
};
const health: ServiceRules<typeof HealthService> = { check: open, list: open, watch: openStream };

/**
 * Every method that this server answers, by its path. A generated method without a row is a type error, and a
 * method of a foreign service (reflection) without a row keeps the server from starting.
 */
export const methodTable: Readonly<Record<string, MethodRule>> = {
  ...byPath('postern.v1.AuthService', authService),
  ...byPath('postern.v1.AdminService', adminService),
  ...byPath('envoy.service.auth.v3.Authorization', authorization),
  ...byPath('postern.v1.TrustService', trustService),
  ...byPath('grpc.health.v1.Health', health),
  ...byPath('grpc.reflection.v1.ServerReflection', { serverReflectionInfo: openStream }),
  ...byPath('grpc.reflection.v1alpha.ServerReflection', { serverReflectionInfo: openStream }),
};

/** @throws Error when the table has no row for the method: nothing is served by default */
export function ruleOf(path: string): MethodRule {
  const rule = Object.hasOwn(methodTable, path) ? methodTable[path] : undefined;
  if (!rule) throw new Error(`rpc/method-table.ts has no rule for ${path}`);
  return rule;
}

/** An administrator's change, which its operation audits in its transaction. */
function change(action: AuditAction): AdminRule {
  const audit = { action, success: 'with-change', refusals: 'all' } as const;
  return { access: 'admin', deadlineMs: STANDARD_DEADLINE_MS, isEvent: true, audit };
}

/** What an administrator looks at. */
function read(action: AuditAction): AdminRule {
  const audit = { action, success: 'here', refusals: 'all' } as const;
  return { access: 'admin', deadlineMs: STANDARD_DEADLINE_MS, isEvent: true, audit };
}

function byPath(service: string, rules: Readonly<Record<string, MethodRule>>): Record<string, MethodRule> {
  return Object.fromEntries(
    Object.entries(rules).map(([method, rule]) => [
      `/${service}/${method.charAt(0).toUpperCase()}${method.slice(1)}`,
      rule,
    ]),
  );
}
