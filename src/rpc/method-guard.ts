import { setTimeout as pause } from 'node:timers/promises';

import type { AuditActor, AuditEvent, AuditTarget } from '../domain/audit-event.ts';
import { ADMIN_ROLE } from '../domain/caller.ts';
import { isUuid } from '../domain/validation.ts';
import { sourceOf } from '../net/cidr.ts';
import type { AuditRateLimiter } from '../features/audit/audit-rate-limiter.ts';
import { type RefusalDetails, credentialRefusalDetails } from '../features/audit/refusal-details.ts';
import { refusalDelayMs, Rejected } from '../domain/rejection.ts';
import type { AuditRecord } from '../features/audit/audit-queries.ts';
import type { Authenticate } from './authenticate.ts';
import type { Call, GuardedCall } from './call.ts';
import type { MethodAudit, MethodRule } from './method-table.ts';
import type { RefusalAfterEnd } from './call-context.ts';
import { statusOf } from './rejection-status.ts';

/** What the guard needs to authenticate callers and to write the audit trail. */
export interface MethodGuard {
  readonly authenticate: Authenticate;
  /** Writes to the audit trail in its own statement. @throws when the write fails */
  readonly writeAudit: (record: AuditRecord) => Promise<void>;
  readonly refusals: Pick<AuditRateLimiter, 'take' | 'missed'>;
  /** Called when writing a refusal to the audit trail failed, so that it is at least logged. */
  readonly onAuditWriteFailed: (record: AuditRecord, error: unknown) => void;
  /** Called with the reason why a credential was refused that should have made `client.address` trusted. */
  readonly onForwarderRefused: (reason: string) => void;
  /** Called for a refused credential whose call has already ended, because the finished call does not show the refusal. */
  readonly onRefusedAfterEnd: (refusal: RefusalAfterEnd) => void;
}

/** A handler within its guard: what a transport calls. */
export type GuardedHandler<Request, Response> = (
  request: Request,
  call: GuardedCall,
) => Response | Promise<Response>;

/**
 * Wraps a handler in its method's rule: access control and auditing. Both come from the method table, so that no handler
 * can forget them.
 *
 * @param guard null in a process that serves only public methods that are not audited
 * @throws Error for any other method without a guard, so that such a process does not start
 */
export function guardMethod<Request, Response>(
  path: string,
  rule: MethodRule,
  guard: MethodGuard | null,
  handler: (request: Request, call: Call) => Response | Promise<Response>,
): GuardedHandler<Request, Response> {
  const { access, audit } = rule;
  if (guard === null) {
    const needsGuard = access !== 'public' || audit !== undefined || rule.namesClient === true;
    if (!needsGuard) return handler;
    throw new Error(`${path} is not served without a guard: it is not public, or its calls are audited`);
  }
  if (access === 'public') {
    const namesClient = rule.namesClient === true || rule.namesClientAddress === true;
    const publicHandler = namesClient ? withForwarderCheck(guard, handler) : handler;
    return audit ? withAudit(audit, guard, async (...call) => publicHandler(...call)) : publicHandler;
  }
  const guarded = async (request: Request, call: GuardedCall) => {
    call.caller = await guard.authenticate(access, call);
    return handler(request, call);
  };
  return audit ? withAudit(audit, guard, guarded) : guarded;
}

/**
 * Trusts the `client.address` of a caller that authenticates as a service account (L12). The method is public, so any
 * other credential is not refused: a client that logs in again may still send the user's old token. Its `client.address`
 * is not trusted then, and the operator is told why. The check uses memory only, so that it costs a login no more than a
 * signature verification.
 */
function withForwarderCheck<Request, Response>(
  guard: MethodGuard,
  handler: (request: Request, call: Call) => Response | Promise<Response>,
): GuardedHandler<Request, Response> {
  return (request, call) => {
    if (!namesClient(request) || call.origin.isTrustedForwarder) return handler(request, call);
    return authenticatesAsService(guard, call).then((isService) => {
      call.isFromService = isService;
      return handler(request, call);
    });
  };
}

function namesClient(request: unknown): boolean {
  if (typeof request !== 'object' || request === null) return false;
  if ('client' in request) return request.client !== undefined;
  return 'clientAddress' in request && request.clientAddress !== '';
}

async function authenticatesAsService(guard: MethodGuard, call: GuardedCall): Promise<boolean> {
  try {
    await guard.authenticate('service', call);
    return true;
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const { rejection } = error;
    const { reason, message } = statusOf(rejection);
    const isAttempt = rejection.kind !== 'credentials-missing' || rejection.isCertificateNameless === true;
    if (isAttempt) guard.onForwarderRefused(`${reason ?? rejection.kind}: ${message}`);
    return false;
  }
}

/**
 * Writes one audit event for each call (A07). A change writes its own event in its transaction; reads, refusals and
 * failures are written here. A read that cannot be audited is not answered; a refusal is returned even if it cannot be
 * audited. Refusals of callers who are not administrators are rate-limited, so that nobody can fill the database.
 *
 * A refusal is written before the refusal delay, and even if the caller has cancelled: an attacker who guesses and
 * disconnects must leave a trace.
 */
function withAudit<Request, Response>(
  audit: MethodAudit,
  guard: MethodGuard,
  run: (request: Request, call: GuardedCall) => Promise<Response>,
): GuardedHandler<Request, Response> {
  return async (request, call) => {
    const event = { action: audit.action, target: targetOf(request) };
    let response: Response;
    try {
      response = await run(request, call);
    } catch (error) {
      const refusal = refusalDetailsOf(audit, error);
      if (refusal) await writeRefusal(guard, { event, refusal, error }, call);
      const delayMs = refusalDelayMs(error);
      // In full even if the caller has cancelled: otherwise the report below would reveal how long the check took (L02).
      if (delayMs > 0) await pause(delayMs, undefined, { ref: false });
      if (call.signal.aborted) reportRefusalAfterEnd(guard, error, call);
      throw error;
    }
    if (audit.success === 'here')
      await guard.writeAudit({
        event: { ...event, outcome: 'ok', actor: actorOf(call, null) },
        origin: call.origin,
      });
    return response;
  };
}

async function writeRefusal(
  guard: MethodGuard,
  refused: { event: Pick<AuditEvent, 'action' | 'target'>; refusal: RefusalDetails; error: unknown },
  call: GuardedCall,
): Promise<void> {
  const { refusal, error } = refused;
  const { origin = call.origin, details, ...subject } = refusal;
  const isAdministrator = call.caller?.roles.includes(ADMIN_ROLE) === true;
  const allowance = isAdministrator ? { unwritten: 0 } : guard.refusals.take(sourceOf(origin.address));
  if (!allowance) return;
  const auditDetails = { ...details, ...(allowance.unwritten > 0 && { unwritten: allowance.unwritten }) };
  const event: AuditEvent = {
    ...refused.event,
    outcome: 'refused',
    actor: actorOf(call, error),
    ...subject,
    reason: reasonOf(error),
    ...(Object.keys(auditDetails).length > 0 && { details: auditDetails }),
  };
  const record = { event, origin };
  try {
    await guard.writeAudit(record);
  } catch (failure) {
    guard.refusals.missed();
    guard.onAuditWriteFailed(record, failure);
  }
}

function reportRefusalAfterEnd(
  guard: MethodGuard,
  error: unknown,
  { path, peer, origin }: GuardedCall,
): void {
  if (!(error instanceof Rejected) || credentialRefusalDetails(error.rejection) === null) return;
  const { reason } = statusOf(error.rejection);
  if (reason === undefined) return;
  guard.onRefusedAfterEnd({ path, peer, requestId: origin.requestId, reason, cause: error });
}

/** Null when the refusal is not audited. For administration every refusal and failure is audited. */
function refusalDetailsOf({ refusals }: MethodAudit, error: unknown): RefusalDetails | null {
  const refusal = error instanceof Rejected ? credentialRefusalDetails(error.rejection) : null;
  return refusal ?? (refusals === 'all' ? {} : null);
}

function actorOf(call: GuardedCall, error: unknown): AuditActor {
  if (call.caller) return { type: call.caller.type, id: call.caller.id };
  const hasCaller = error instanceof Rejected && error.rejection.kind === 'admin-required';
  return hasCaller ? error.rejection.caller : { type: 'anonymous', id: null };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Rejected)) return 'INTERNAL';
  return statusOf(error.rejection).reason ?? error.rejection.kind.toUpperCase().replaceAll('-', '_');
}

const TARGET_FIELDS: readonly (readonly [field: string, type: AuditTarget['type']])[] = [
  ['sessionId', 'session'],
  ['userId', 'user'],
  ['clientId', 'service'],
  ['kid', 'signing-key'],
];

/** The target that a request names, if the id is well-formed: arbitrary text of a caller must not get into the audit trail. */
function targetOf(request: unknown): AuditTarget | null {
  if (typeof request !== 'object' || request === null) return null;
  for (const [field, type] of TARGET_FIELDS) {
    const id = (request as Readonly<Record<string, unknown>>)[field];
    if (typeof id !== 'string' || id === '') continue;
    if (isUuid(id) || (type === 'signing-key' && /^[\w-]{1,64}$/.test(id))) return { type, id };
  }
  return null;
}
