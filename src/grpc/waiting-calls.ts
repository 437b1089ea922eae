import type { Http2Session } from 'node:http2';
import { getHeapStatistics } from 'node:v8';

import { type Rejection, RETRY_AFTER_MS } from '../domain/rejection.ts';
import type { StreamSlots } from './stream-slots.ts';

const CHECK_INTERVAL_MS = 500;
/** What waits for longer counts as an open stream. What honest callers send comes at once. */
const SLOW_MS = 500;
/** What an open stream costs. */
const BYTES_OF_A_STREAM = 12 * 1024;
/** In the process, so that a burst between two looks is bounded as well: half of the heap that Node allows itself. */
const MAX_WAITING_CALLS = Math.floor(getHeapStatistics().heap_size_limit / 2 / BYTES_OF_A_STREAM);

/** A call on which its caller has to do something next. */
export interface WaitingCall {
  readonly waitsSinceMs: number;
  /** On whose account it counts when it is slow; null when it is counted already, or has none any more. */
  readonly chargedSession: Http2Session | null;
  giveUpWaiting(why: Rejection): void;
}

/** Of a call that a look has found waiting before: what gives back the share that it holds, if it does. */
interface Wait {
  release: (() => void) | null;
}

/**
 * Calls that wait for their callers: for the rest of a request, or until an answer is read. A handler runs, and its
 * deadline with it, only when the request is there, so a caller that opens a call and sends or reads nothing more would
 * hold it for as long as the connection lasts. One timer looks after all of them: a call that goes on at once costs none.
 */
export class WaitingCalls {
  /** In the order in which they began to wait; null until a look has found them, so that a quick call costs no object. */
  readonly #waiting = new Map<WaitingCall, Wait | null>();
  readonly #limitMs: number;
  readonly #slots: StreamSlots | null;
  readonly #max: number;
  #timer: NodeJS.Timeout | null = null;
  #pendingCheck: NodeJS.Immediate | undefined;

  /** @param slots what slow ones count in */
  constructor(limitMs: number, slots: StreamSlots | null, max = MAX_WAITING_CALLS) {
    this.#limitMs = limitMs;
    this.#slots = slots;
    this.#max = max;
  }

  add(call: WaitingCall): void {
    if (this.#waiting.size >= this.#max) this.#endOldest();
    this.#waiting.set(call, null);
    this.#timer ??= setInterval(() => this.#scheduleCheck(), CHECK_INTERVAL_MS).unref();
  }

  delete(call: WaitingCall): void {
    this.#waiting.get(call)?.release?.();
    this.#waiting.delete(call);
  }

  #endOldest(): void {
    const [oldest] = this.#waiting.keys();
    // It may be an honest one in a crowd, which is told to come again.
    const cause = `${this.#max} calls wait for their callers`;
    if (oldest) this.#end(oldest, { kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
  }

  #end(call: WaitingCall, why: Rejection): void {
    this.delete(call);
    call.giveUpWaiting(why);
  }

  /**
   * Reads what has arrived before it looks: while this process stood still, requests may have come that lie unread in their
   * sockets, and Node polls those between the timers and the immediates of one turn of its loop.
   */
  #scheduleCheck(): void {
    clearImmediate(this.#pendingCheck);
    this.#pendingCheck = setImmediate(() => (this.#pendingCheck = setImmediate(() => this.#check())));
  }

  #check(): void {
    const nowMs = performance.now();
    for (const [call, wait] of this.#waiting) {
      const waitedMs = nowMs - call.waitsSinceMs;
      if (waitedMs >= this.#limitMs) this.#end(call, { kind: 'deadline-exceeded' });
      // Slow is what waited at the look before as well, whatever the clock says: the time in which nobody could read is ours.
      else if (wait === null) this.#waiting.set(call, { release: null });
      else if (waitedMs >= SLOW_MS) this.#count(call, wait);
    }
    if (this.#waiting.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #count(call: WaitingCall, wait: Wait): void {
    if (wait.release !== null || this.#slots === null || call.chargedSession === null) return;
    wait.release = this.#slots.take(call.chargedSession);
    if (wait.release === null) this.#end(call, { kind: 'too-many-streams' });
  }
}
