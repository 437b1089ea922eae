import type { Http2Session } from 'node:http2';

import type { Rejection } from '../domain/rejection.ts';
import type { StreamShare } from './stream-share.ts';

const LOOK_EVERY_MS = 500;
/** What waits for longer counts as an open stream. What honest callers send comes at once. */
const SLOW_MS = 500;
/** In the process, so that a burst between two looks is bounded as well: sixteen connections' worth of calls. */
const MOST_WAITING = 4_096;

/** A call on which its caller has to do something next. */
export interface WaitingCall {
  readonly waitsSinceMs: number;
  /** On whose account it counts when it is slow; null when it is counted already, or has none any more. */
  readonly countedOn: Http2Session | null;
  giveUpWaiting(why: Rejection & { kind: 'deadline-exceeded' | 'too-many-streams' }): void;
}

/**
 * Calls that wait for their callers: for the rest of a request, or until an answer is read. A handler runs, and its
 * deadline with it, only when the request is there, so a caller that opens a call and sends or reads nothing more would
 * hold it for as long as the connection lasts. One timer looks after all of them: a call that goes on at once costs none.
 */
export class WaitingCalls {
  /** In the order in which they began to wait, so that a look ends at the first young one; with the share that it holds. */
  readonly #waiting = new Map<WaitingCall, (() => void) | null>();
  readonly #limitMs: number;
  readonly #share: StreamShare | null;
  readonly #most: number;
  #timer: NodeJS.Timeout | null = null;

  /** @param share what slow ones count in */
  constructor(limitMs: number, share: StreamShare | null, most = MOST_WAITING) {
    this.#limitMs = limitMs;
    this.#share = share;
    this.#most = most;
  }

  add(call: WaitingCall): void {
    if (this.#waiting.size >= this.#most) this.#endOldest();
    this.#waiting.set(call, null);
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  delete(call: WaitingCall): void {
    this.#waiting.get(call)?.();
    this.#waiting.delete(call);
  }

  #endOldest(): void {
    const [oldest] = this.#waiting.keys();
    if (oldest) this.#end(oldest, 'too-many-streams');
  }

  #end(call: WaitingCall, kind: 'deadline-exceeded' | 'too-many-streams'): void {
    this.delete(call);
    call.giveUpWaiting({ kind });
  }

  #look(): void {
    const nowMs = performance.now();
    for (const [call, held] of this.#waiting) {
      const waitedMs = nowMs - call.waitsSinceMs;
      if (waitedMs >= this.#limitMs) this.#end(call, 'deadline-exceeded');
      else if (waitedMs < SLOW_MS) break;
      else if (held === null && this.#share !== null && call.countedOn !== null) {
        const taken = this.#share.take(call.countedOn);
        if (taken === null) this.#end(call, 'too-many-streams');
        else this.#waiting.set(call, taken);
      }
    }
    if (this.#waiting.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
