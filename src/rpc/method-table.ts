import type { AuditAction } from '../domain/audit-event.ts';
import type { AccessClass } from '../domain/caller.ts';
import type { AuthorizationService } from '../generated/envoy/service/auth/v3/external_auth.ts';
import type { AdminServiceService } from '../generated/postern/v1/admin.ts';
import type { AuthServiceService } from '../generated/postern/v1/auth.ts';
import type { HealthService } from '../generated/grpc/health/v1/health.ts';
import type { TrustServiceService } from '../generated/postern/v1/trust.ts';
import { IMPORT_DEADLINE_MS, STANDARD_DEADLINE_MS } from './time-limits.ts';

/** The action of a call in the audit trail, and which events `method-guard.ts` writes. */
export interface MethodAudit {
  readonly action: AuditAction;
  /** Who audits a success: the operation in its transaction, `method-guard.ts`, or nobody. */
  readonly success: 'with-change' | 'here' | 'nobody';
  /** Whether all refusals and failures are audited, or only refused credentials. */
  readonly refusals: 'all' | 'of-credentials';
}

/** Who may call a method, its deadline, and how it is logged and audited. */
export interface MethodRule {
  readonly access: AccessClass;
  /** Whether callers through a unix socket need no credential, because the file permissions control access. */
  readonly openToUnixSockets?: boolean;
  /** After this time the server answers DEADLINE_EXCEEDED, even if the caller's deadline is later; null for endless streams. */
  readonly deadlineMs: number | null;
  /** Whether ordinary calls take the fast path, directly on the HTTP/2 stream. */
  readonly isHot?: boolean;
  /**
   * Whether the method can be called over HTTP with GET as well: it changes nothing, and no request contains a secret, which
   * would end in access logs. Its proto option is `NO_SIDE_EFFECTS`.
   */
  readonly isSafe?: boolean;
  /** Whether successful calls are logged, too. */
  readonly logsSuccess?: boolean;
  /** Whether the request has a `client` field, which is trusted from a service account: its credential is checked then (L12). */
  readonly namesClient?: boolean;
  /**
   * The same for a field `client_address`, in a method that is served without a guard as well: such a process trusts the
   * field from trusted proxies only.
   */
  readonly namesClientAddress?: boolean;
  /** Absent where the guard audits nothing; the operation may still write events of its own. */
  readonly audit?: MethodAudit;
}

/** Every call of an administrator is audited (A07), except a `poll` that succeeds: a row without `audit` is a type error. */
interface AdminRule extends MethodRule {
  readonly access: 'admin';
  readonly audit: MethodAudit;
}

type ServiceRules<Service, Rule = MethodRule> = { readonly [Method in keyof Service]: Rule };

const publicCall = { access: 'public', deadlineMs: STANDARD_DEADLINE_MS } as const;
const publicEvent = { ...publicCall, logsSuccess: true } as const;
const userEvent = { access: 'user', deadlineMs: STANDARD_DEADLINE_MS, logsSuccess: true } as const;
/** A refused login must cost little, since a flood of them is to be expected. */
const hotEvent = { ...publicEvent, isHot: true } as const;
/** A method that checks a credential. Its operation audits a success in its transaction. */
const credentialCheck = (action: AuditAction, rule: MethodRule = publicEvent): MethodRule => ({
  ...rule,
  audit: { action, success: 'with-change', refusals: 'of-credentials' },
});
/** A change of the caller's own API keys, which its operation audits in its transaction. */
const ownKeys = (action: AuditAction): MethodRule => credentialCheck(action, userEvent);
/** A change of the caller's own session or factors, which its operation audits in its transaction. */
const ownSession = (action: AuditAction): MethodRule => credentialCheck(action, userEvent);
const ownKeyRead = { access: 'user', deadlineMs: STANDARD_DEADLINE_MS } as const;
const publicStream = { access: 'public', deadlineMs: null } as const;

const authService: ServiceRules<typeof AuthServiceService> = {
  login: credentialCheck('login', { ...hotEvent, namesClient: true }),
  verifyToken: { ...publicCall, isHot: true, namesClientAddress: true },
  refreshToken: credentialCheck('token.refresh', hotEvent),
  // The answer is the same for valid and invalid tokens (RFC 7009 section 2.2).
  revokeToken: publicEvent,
  issueServiceToken: credentialCheck('service.token'),
  changePassword: credentialCheck('password.change', userEvent),
  resetPassword: credentialCheck('password.reset'),
  exchangeToken: credentialCheck('token.exchange'),
  createApiKey: ownKeys('key.api.create'),
  listApiKeys: ownKeyRead,
  revokeApiKey: ownKeys('key.api.revoke'),
  rotateApiKey: ownKeys('key.api.rotate'),
  stepUp: ownSession('session.step-up'),
  enrolTotp: ownSession('factor.enrol'),
  confirmFactor: ownSession('factor.add'),
  beginPasskeyRegistration: ownSession('factor.enrol'),
  finishPasskeyRegistration: ownSession('factor.add'),
  beginPasskeyLogin: publicCall,
  loginWithPasskey: credentialCheck('login', { ...publicEvent, namesClient: true }),
  listFactors: ownKeyRead,
  deleteFactor: ownSession('factor.delete'),
  replaceRecoveryCodes: ownSession('recovery-codes.replace'),
  getJwks: { ...publicCall, isSafe: true },
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
  updateServiceAccount: change('service.update'),
  addServiceKey: change('service.key.add'),
  listServiceKeys: read('service.read'),
  deleteServiceKey: change('service.key.delete'),
  createAudience: change('audience.create'),
  listAudiences: read('audience.read'),
  deleteAudience: change('audience.delete'),
  createTrustedIssuer: change('issuer.create'),
  listTrustedIssuers: read('issuer.read'),
  updateTrustedIssuer: change('issuer.update'),
  deleteTrustedIssuer: change('issuer.delete'),
  createWorkloadBinding: change('binding.create'),
  listWorkloadBindings: read('binding.read'),
  deleteWorkloadBinding: change('binding.delete'),
  createApiKey: change('key.api.create'),
  listApiKeys: read('key.api.read'),
  revokeApiKey: change('key.api.revoke'),
  rotateApiKey: change('key.api.rotate'),
  listFactors: read('factor.read'),
  deleteFactors: change('factor.reset'),
  listSigningKeys: read('key.read'),
  rotateSigningKey: change('key.rotate'),
  revokeSigningKey: change('key.revoke'),
  listAuditEvents: read('audit.read'),
  getOverview: poll('overview.read'),
};

/** Has its own, shorter time limit, and answers with a denial and a reason, which DEADLINE_EXCEEDED would not have. */
const authorization: ServiceRules<typeof AuthorizationService> = { check: { ...publicCall, isHot: true } };
const trustService: ServiceRules<typeof TrustServiceService> = {
  watchTrust: {
    access: 'service',
    deadlineMs: null,
    openToUnixSockets: true,
    // Subscribers reconnect after every restart, even without a database; the issuing of their tokens is audited.
    audit: { action: 'trust.watch', success: 'nobody', refusals: 'of-credentials' },
  },
  resolveApiKey: { access: 'service', deadlineMs: STANDARD_DEADLINE_MS, openToUnixSockets: true },
};
const health: ServiceRules<typeof HealthService> = {
  check: publicCall,
  list: publicCall,
  watch: publicStream,
};

/** Served on a unix socket of its own alone, whose permissions control access. */
const channelz = {
  getTopChannels: publicCall,
  getServers: publicCall,
  getServer: publicCall,
  getServerSockets: publicCall,
  getChannel: publicCall,
  getSubchannel: publicCall,
  getSocket: publicCall,
};

/**
 * The rules of all methods, by path. A generated method without a row is a type error. A method of another service
 * (reflection, channelz) without a row prevents the server from starting.
 */
export const methodTable: Readonly<Record<string, MethodRule>> = {
  ...byPath('postern.v1.AuthService', authService),
  ...byPath('postern.v1.AdminService', adminService),
  ...byPath('envoy.service.auth.v3.Authorization', authorization),
  ...byPath('postern.v1.TrustService', trustService),
  ...byPath('grpc.health.v1.Health', health),
  ...byPath('grpc.reflection.v1.ServerReflection', { serverReflectionInfo: publicStream }),
  ...byPath('grpc.reflection.v1alpha.ServerReflection', { serverReflectionInfo: publicStream }),
  ...byPath('grpc.channelz.v1.Channelz', channelz),
};

/** @throws Error when the table has no rule for the method: no method is served by default */
export function ruleOf(path: string): MethodRule {
  const rule = Object.hasOwn(methodTable, path) ? methodTable[path] : undefined;
  if (!rule) throw new Error(`rpc/method-table.ts has no rule for ${path}`);
  return rule;
}

/** An administrator's change, which its operation audits in its transaction. */
function change(action: AuditAction): AdminRule {
  const audit = { action, success: 'with-change', refusals: 'all' } as const;
  return { access: 'admin', deadlineMs: STANDARD_DEADLINE_MS, logsSuccess: true, audit };
}

/** An administrator's read, which the guard audits. */
function read(action: AuditAction): AdminRule {
  const audit = { action, success: 'here', refusals: 'all' } as const;
  return { access: 'admin', deadlineMs: STANDARD_DEADLINE_MS, logsSuccess: true, audit };
}

/** A read that pages repeat every other second and that names nobody: only refusals are audited and logged. */
function poll(action: AuditAction): AdminRule {
  const audit = { action, success: 'nobody', refusals: 'all' } as const;
  return { access: 'admin', deadlineMs: STANDARD_DEADLINE_MS, audit };
}

function byPath(service: string, rules: Readonly<Record<string, MethodRule>>): Record<string, MethodRule> {
  return Object.fromEntries(
    Object.entries(rules).map(([method, rule]) => [
      `/${service}/${method.charAt(0).toUpperCase()}${method.slice(1)}`,
      rule,
    ]),
  );
}
