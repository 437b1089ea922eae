import type { Http2Session } from 'node:http2';
import { getHeapStatistics } from 'node:v8';

import { type Rejection, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import type { StreamSlots } from './stream-slots.ts';

const CHECK_INTERVAL_MS = 500;
/** A call that waits longer counts as an open stream. Requests of ordinary callers arrive at once. */
const SLOW_MS = 500;
/** The memory that an open stream uses. */
const BYTES_PER_STREAM = 12 * 1024;
/** The maximum for the process, so that a burst between two checks is bounded as well: half of Node's heap limit. */
const MAX_WAITING_CALLS = Math.floor(getHeapStatistics().heap_size_limit / 2 / BYTES_PER_STREAM);

/** A call that waits for its caller: to send the request, or to read the response. */
export interface WaitingCall {
  readonly waitsSinceMs: number;
  /** The connection whose stream limit a slow call counts against; null when it counts already or has no connection. */
  readonly chargedSession: Http2Session | null;
  giveUpWaiting(rejection: Rejection): void;
}

/** The state of a call that an earlier check found waiting. */
interface Wait {
  /** Releases the stream slot that the call holds; null when it holds none. */
  release: (() => void) | null;
}

/**
 * Limits the calls that wait for their callers: for the rest of a request, or until a response is read. A handler and
 * its deadline start only when the request is complete, so without this limit a caller that sends or reads nothing
 * would hold a call for as long as the connection lasts. One timer checks all of them, so that a call that continues at
 * once needs none.
 */
export class WaitingCalls {
  /**
   * In the order in which they began to wait. Null until a check finds the call, so that a fast call needs no object.
   */
  readonly #waiting = new Map<WaitingCall, Wait | null>();
  readonly #limitMs: number;
  readonly #slots: StreamSlots | null;
  readonly #max: number;
  #timer: NodeJS.Timeout | null = null;
  #pendingCheck: NodeJS.Immediate | undefined;

  /** @param slots limits the slow calls; null where they have no limit but `max` */
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
    // The call may be legitimate, so its rejection is one that a client retries.
    const cause = `more than ${this.#max} calls wait for their callers`;
    if (oldest) this.#end(oldest, { kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
  }

  #end(call: WaitingCall, rejection: Rejection): void {
    this.delete(call);
    call.giveUpWaiting(rejection);
  }

  /**
   * Lets Node read its sockets before the check. While this process was blocked, requests may have arrived that are
   * still unread, and Node polls sockets between the timers and the immediates of one iteration of the event loop.
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
      // A call is slow only if the previous check found it waiting too, because a blocked process cannot read requests.
      else if (wait === null) this.#waiting.set(call, { release: null });
      else if (waitedMs >= SLOW_MS) this.#takeSlot(call, wait);
    }
    if (this.#waiting.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #takeSlot(call: WaitingCall, wait: Wait): void {
    if (wait.release !== null || this.#slots === null || call.chargedSession === null) return;
    wait.release = this.#slots.take(call.chargedSession);
    if (wait.release === null) this.#end(call, { kind: 'too-many-streams' });
  }
}
