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

/** What stands before every method that is not public, and writes down every call that is audited. */
export interface MethodGuard {
  readonly authenticate: Authenticate;
  /** Writes to the audit trail in a statement of its own; throws when it cannot. */
  readonly writeAudit: (record: AuditRecord) => Promise<void>;
  readonly refusals: Pick<AuditRateLimiter, 'take' | 'missed'>;
  /** Told of a refusal that found its way into the log only. */
  readonly onUnwritten: (record: AuditRecord, error: unknown) => void;
  /** Told why a credential is not good with which a caller would be believed in what it says of its own caller. */
  readonly onForwarderRefused: (why: string) => void;
  /** Told of a refused credential whose caller has left, so that the call itself tells nothing of it. */
  readonly onRefusedAfterEnd: (refusal: RefusalAfterEnd) => void;
}

type GuardedHandler<Request, Response> = (
  request: Request,
  call: GuardedCall,
) => Response | Promise<Response>;

/**
 * Puts a method's rule before its handler: who may call it, and that the audit trail hears of every call. Both come from
 * the method table, so no handler can forget either.
 *
 * @param guard undefined in a process that serves only public methods of which nothing is audited
 * @throws Error for any other method without a guard: such a process does not start
 */
export function guardMethod<Request, Response>(
  path: string,
  rule: MethodRule,
  guard: MethodGuard | undefined,
  handler: (request: Request, call: Call) => Response | Promise<Response>,
): GuardedHandler<Request, Response> {
  const { access, audit } = rule;
  if (guard === undefined) {
    const needsNone = access === 'public' && audit === undefined && rule.namesClient !== true;
    if (needsNone) return handler;
    throw new Error(`${path} is not served without a guard: it is not public, or its calls are audited`);
  }
  if (access === 'public') {
    const openHandler = rule.namesClient === true ? recognisingForwarders(guard, handler) : handler;
    return audit ? audited(audit, guard, async (...call) => openHandler(...call)) : openHandler;
  }
  const guarded = async (request: Request, call: GuardedCall) => {
    call.caller = await guard.authenticate(access, call);
    return handler(request, call);
  };
  return audit ? audited(audit, guard, guarded) : guarded;
}

/**
 * Believes a service account in what it says of its own caller (L12). A credential that is not good for that refuses
 * nothing: the call needs none, and whoever logs in anew may still send the user's old token. The caller is then a
 * stranger as without it, and the operator hears why. Answered from memory, so that nobody's login costs more by it
 * than the check of a signature.
 */
function recognisingForwarders<Request, Response>(
  guard: MethodGuard,
  handler: (request: Request, call: Call) => Response | Promise<Response>,
): (request: Request, call: GuardedCall) => Promise<Response> {
  return async (request, call) => {
    if (namesClient(request) && !call.origin.isTrustedForwarder)
      call.isOfService = await isOfService(guard, call);
    return handler(request, call);
  };
}

function namesClient(request: unknown): boolean {
  return (
    typeof request === 'object' && request !== null && 'client' in request && request.client !== undefined
  );
}

async function isOfService(guard: MethodGuard, call: GuardedCall): Promise<boolean> {
  try {
    await guard.authenticate('service', call);
    return true;
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const { kind } = error.rejection;
    const { reason, message } = statusOf(error.rejection);
    if (kind !== 'credentials-missing') guard.onForwarderRefused(`${reason ?? kind}: ${message}`);
    return false;
  }
}

/**
 * One event for each call (A07): a change writes its own, in its transaction; reads, and whatever is refused or fails,
 * are written here. A read that cannot be written down is not answered; a refusal is a refusal all the same. Of callers
 * who are no administrators, as many refusals are written as there is room for, lest anybody fill the database.
 *
 * What is known is written before the answer is held back, and whether or not the caller still waits for it: whoever
 * guesses and leaves must leave a trace.
 */
function audited<Request, Response>(
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
      // All of it although the caller has left: what is told afterwards would tell how long the check took (L02).
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
    guard.onUnwritten(record, failure);
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

/** Null for what the trail does not keep: of administration it keeps everything. */
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

/** What a request is about, as far as it names it well: a caller's junk does not go into the trail. */
function targetOf(request: unknown): AuditTarget | null {
  if (typeof request !== 'object' || request === null) return null;
  for (const [field, type] of TARGET_FIELDS) {
    const id = (request as Readonly<Record<string, unknown>>)[field];
    if (typeof id !== 'string' || id === '') continue;
    if (isUuid(id) || (type === 'signing-key' && /^[\w-]{1,64}$/.test(id))) return { type, id };
  }
  return null;
}
