import type { CallBudget } from '../../domain/operation-call.ts';
import type { Rejection } from '../../domain/rejection.ts';
import { MAX_TIMER_MS } from '../../domain/timeout.ts';
import type { HashDamage } from '../formats/password-format.ts';

/** The budget of the caller who waits for a hash. */
export interface HashCall extends CallBudget {
  /** Told when the stored text cannot be checked, so that the caller can log it beside the user's id. */
  readonly onDamage?: (damage: HashDamage) => void;
}

/** Why nobody waits for the answer any more; undefined while somebody does. */
export function cancellationOf(call: CallBudget, nowMs: number): Rejection | undefined {
  // The deadline first: a signal may abort because of it.
  if (nowMs >= call.deadlineMs) return { kind: 'deadline-exceeded' };
  if (call.signal.aborted) return { kind: 'cancelled' };
  return undefined;
}

/** Calls `leave` once, when the caller has left or the deadline passes; the result stops the watch. */
export function onCancelled(
  call: CallBudget,
  now: () => number,
  callback: (why: Rejection) => void,
): () => void {
  const delayMs = call.deadlineMs - now();
  // A deadline beyond what a timer takes needs none.
  const timer =
    delayMs <= MAX_TIMER_MS ? setTimeout(() => end({ kind: 'deadline-exceeded' }), delayMs) : undefined;
  const onAbort = () => end(cancellationOf(call, now()) ?? { kind: 'cancelled' });
  const stop = () => {
    clearTimeout(timer);
    call.signal.removeEventListener('abort', onAbort);
  };
  const end = (why: Rejection) => {
    stop();
    callback(why);
  };
  call.signal.addEventListener('abort', onAbort);
  return stop;
}
