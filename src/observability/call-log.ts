import { Code, codeName } from '../rpc/status-code.ts';
import { ADMIN_ROLE } from '../domain/caller.ts';
import { describeNames } from '../net/certificate-identity.ts';
import { sourceOf } from '../net/cidr.ts';
import type { AuditRateLimiter } from '../features/audit/audit-rate-limiter.ts';
import { Rejected } from '../domain/rejection.ts';
import type { FinishedCall, RefusalAfterEnd } from '../rpc/call-context.ts';
import { methodTable } from '../rpc/method-table.ts';
import { peerAddress } from '../net/peer-address.ts';

/** The part of pino's logger that this file uses. */
interface Log {
  isLevelEnabled(level: string): boolean;
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

type LineRateLimiter = Pick<AuditRateLimiter, 'take'>;

const SUMMARY_INTERVAL_MS = 60_000;

/**
 * Logs one line for each call (O03): internal faults at error, refusals and changes to sessions or accounts at info,
 * all others at debug. Lines that any caller can cause at will are rate limited, so that a flood cannot fill the disk
 * or bury other lines; a summary line counts those left out. Faults have a rate limit of their own, which refusals do
 * not use up. The metrics count every call.
 */
export class CallLogger {
  readonly #log: Log;
  readonly #refusals: LineRateLimiter;
  readonly #faults: LineRateLimiter;
  #omitted = { refusals: 0, faults: 0 };
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log, newRateLimiter: () => LineRateLimiter) {
    this.#log = log;
    this.#refusals = newRateLimiter();
    this.#faults = newRateLimiter();
  }

  logCall(call: FinishedCall): void {
    const isQuiet =
      call.code === Code.OK && call.reason === undefined && !methodTable[call.path]?.logsSuccess;
    if (isQuiet) {
      if (this.#log.isLevelEnabled('debug')) this.#log.debug(fieldsOf(call), 'call');
      return;
    }
    const isFault = call.code === Code.INTERNAL || call.isFault === true;
    const rateLimiter = isFault ? this.#faults : this.#refusals;
    if (needsRateLimit(call) && !rateLimiter.take(sourceOf(addressOf(call)))) {
      this.#countOmitted(isFault ? 'faults' : 'refusals');
      return;
    }
    if (isFault) this.#log.error({ ...fieldsOf(call), cause: call.cause }, 'call');
    else this.#log.info({ ...fieldsOf(call), ...refusalDetail(call.cause) }, 'call');
  }

  /**
   * Logs the refusal of a call that had already ended, for example by cancellation, so that its own line has no reason.
   */
  logRefusalAfterEnd(refusal: RefusalAfterEnd): void {
    const { path, reason, peer, requestId, cause } = refusal;
    if (!this.#refusals.take(sourceOf(addressOf(refusal)))) {
      this.#countOmitted('refusals');
      return;
    }
    const fields = { method: path, reason, peer, request_id: requestId, ...refusalDetail(cause) };
    this.#log.info(fields, 'unheard-refusal');
  }

  #countOmitted(kind: 'refusals' | 'faults'): void {
    this.#omitted[kind] += 1;
    this.#timer ??= setTimeout(() => this.logOmitted(), SUMMARY_INTERVAL_MS).unref();
  }

  /** Logs how many calls were left out since the last summary. */
  logOmitted(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { refusals, faults } = this.#omitted;
    this.#omitted = { refusals: 0, faults: 0 };
    if (faults > 0) this.#log.error({ faults }, 'calls-left-out');
    if (refusals > 0) this.#log.info({ refusals }, 'calls-left-out');
  }
}

/**
 * Whether a caller without the admin role can cause any number of such calls. Token reuse cannot be repeated, since it
 * ends the session.
 */
function needsRateLimit({ code, reason, isNoOp, caller }: FinishedCall): boolean {
  if (caller?.roles.includes(ADMIN_ROLE)) return false;
  if (reason === 'REFRESH_TOKEN_REUSED') return false;
  return code !== Code.OK || reason !== undefined || isNoOp === true;
}

/** The client address that a trusted forwarder or proxy reported; otherwise the address of the peer. */
function addressOf({
  cause,
  clientAddress,
  peer,
}: Pick<FinishedCall, 'cause' | 'clientAddress' | 'peer'>): string | null {
  const origin =
    cause instanceof Rejected && 'origin' in cause.rejection ? cause.rejection.origin : undefined;
  if (origin) return origin.address;
  return clientAddress === undefined ? peerAddress(peer) : clientAddress;
}

function fieldsOf(call: FinishedCall): object {
  return {
    method: call.path,
    code: codeName(call.code),
    ...(call.reason !== undefined && { reason: call.reason }),
    peer: call.peer,
    request_id: call.requestId,
    duration_ms: Math.round(call.durationMs * 10) / 10,
    ...(call.trace && { trace_id: call.trace.traceId, span_id: call.trace.spanId }),
  };
}

/**
 * The details of a refusal that may be logged. None of them contains text sent by the caller; the names of a certificate are
 * those that a CA of POSTERN_TLS_CLIENT_CA has given it.
 */
function refusalDetail(cause: unknown): object {
  if (!(cause instanceof Rejected)) return {};
  const { rejection } = cause;
  if (rejection.kind === 'invalid-credentials')
    return { detail: rejection.cause, ...(rejection.account && { account: rejection.account }) };
  if (rejection.kind === 'reset-token-invalid' || rejection.kind === 'refresh-refused')
    return { detail: rejection.cause };
  if ('certificateNames' in rejection)
    return { detail: `the client certificate shows ${describeNames(rejection.certificateNames)}` };
  if (rejection.kind === 'login-rate-limited') return { account: rejection.account };
  if (rejection.kind === 'token-refused') return { detail: rejection.refusal.detail };
  if (rejection.kind === 'store-unavailable' || rejection.kind === 'server-overloaded') {
    return { detail: rejection.cause };
  }
  if (rejection.kind === 'trust-stale' && cause.cause instanceof Error)
    return { detail: cause.cause.message };
  return {};
}
