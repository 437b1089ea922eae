import type { HashCall } from '../../src/passwords/hashing/call-deadline.ts';

/** A caller without a deadline, unless one is given. */
export function waitingCaller(changes: Partial<HashCall> = {}): HashCall {
  return { signal: new AbortController().signal, deadlineMs: Infinity, ...changes };
}
