import type { CallBudget } from '../../domain/operation-call.ts';
import type { Rejection } from '../../domain/rejection.ts';
import { MAX_TIMER_MS } from '../../domain/concurrency/timeout.ts';
import type { HashDamage } from '../formats/password-format.ts';

/** The budget of a caller that waits for a hash. */
export interface HashCall extends CallBudget {
  /** Called when the stored hash cannot be verified, so that the caller can log it with the user's id. */
  readonly onDamage?: (damage: HashDamage) => void;
}

/** The rejection of a call whose deadline has passed or whose caller has cancelled; undefined for a live call. */
export function cancellationOf(call: CallBudget, nowMs: number): Rejection | undefined {
  // Check the deadline first: an expired deadline may also have aborted the signal.
  if (nowMs >= call.deadlineMs) return { kind: 'deadline-exceeded' };
  if (call.signal.aborted) return { kind: 'cancelled' };
  return undefined;
}

/** Calls `callback` once, when the caller cancels or the deadline passes. Returns a function that unsubscribes. */
export function onCancelled(
  call: CallBudget,
  now: () => number,
  callback: (rejection: Rejection) => void,
): () => void {
  const delayMs = call.deadlineMs - now();
  // A deadline beyond the range of a timer gets no timer.
  const timer =
    delayMs <= MAX_TIMER_MS ? setTimeout(() => end({ kind: 'deadline-exceeded' }), delayMs) : undefined;
  const onAbort = () => end(cancellationOf(call, now()) ?? { kind: 'cancelled' });
  const stop = () => {
    clearTimeout(timer);
    call.signal.removeEventListener('abort', onAbort);
  };
  const end = (rejection: Rejection) => {
    stop();
    callback(rejection);
  };
  call.signal.addEventListener('abort', onAbort);
  return stop;
}
