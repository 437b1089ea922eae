import type { HashCall } from '../../src/passwords/hashing/call-deadline.ts';

/** A caller with all the time in the world, unless told otherwise. */
export function waitingCaller(changes: Partial<HashCall> = {}): HashCall {
  return { signal: new AbortController().signal, deadlineMs: Infinity, ...changes };
}
