import { status as Code } from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import type { FinishedCall } from './call-boundary.ts';
import { methodTable } from './method-table.ts';
import type { ReasonName } from './status.ts';

/** The part of a logger that this file uses. */
interface CallLog {
  isLevelEnabled(level: string): boolean;
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

/**
 * One line for each call: a fault of ours at error, what was refused and what changed a session or an account at info
 * (O03), the many others at debug.
 */
export function describeCall(log: CallLog, call: FinishedCall): void {
  const isQuiet = call.code === Code.OK && call.reason === undefined && !methodTable[call.path]?.isEvent;
  if (isQuiet && !log.isLevelEnabled('debug')) return;
  const fields = {
    method: call.path,
    code: Code[call.code],
    ...(call.reason !== undefined && { reason: call.reason }),
    peer: call.peer,
    request_id: call.requestId,
    duration_ms: Math.round(call.durationMs * 10) / 10,
  };
  if (isQuiet) log.debug(fields, 'call');
  else if (call.code === Code.INTERNAL || call.isFault) log.error({ ...fields, cause: call.cause }, 'call');
  else log.info({ ...fields, ...refusalDetail(call.cause) }, 'call');
}

/** A refused credential whose caller had left before it was known, or was to be told. */
export interface UnheardRefusal extends Pick<FinishedCall, 'path' | 'peer' | 'requestId' | 'cause'> {
  readonly reason: ReasonName;
  /** Whether there is room for a line: anybody can cause these. */
  readonly isLogged: boolean;
}

/** The line that the call itself could not have: it had ended before. */
export function describeUnheard(log: Pick<CallLog, 'info'>, refusal: UnheardRefusal): void {
  const { path, reason, peer, requestId, cause, isLogged } = refusal;
  if (!isLogged) return;
  log.info({ method: path, reason, peer, request_id: requestId, ...refusalDetail(cause) }, 'unheard-refusal');
}

/** What the log may know of a refusal beyond its reason; none of it comes from the caller's text. */
function refusalDetail(cause: unknown): object {
  if (!(cause instanceof Rejected)) return {};
  const { rejection } = cause;
  if (rejection.kind === 'invalid-credentials')
    return { detail: rejection.cause, ...(rejection.account && { account: rejection.account }) };
  if (rejection.kind === 'reset-token-invalid' || rejection.kind === 'refresh-refused')
    return { detail: rejection.cause };
  if (rejection.kind === 'login-rate-limited') return { account: rejection.account };
  if (rejection.kind === 'token-refused') return { detail: rejection.refusal.detail };
  if (rejection.kind === 'store-unavailable' || rejection.kind === 'server-overloaded') {
    return { detail: rejection.cause };
  }
  if (rejection.kind === 'trust-stale' && cause.cause instanceof Error)
    return { detail: cause.cause.message };
  return {};
}
