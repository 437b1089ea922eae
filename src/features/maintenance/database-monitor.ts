import { type DatabaseFault, databaseFaultOf, isMendedByWaiting } from '../../database/database-fault.ts';
import { Backoff } from '../../domain/concurrency/backoff.ts';
import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { cancellationOf, onCancelled } from '../../passwords/hashing/call-deadline.ts';

/** Fallback for a lost notification: half of the second within which a revocation must then be known. */
const REFRESH_INTERVAL_MS = 500;
/** Waiting callers may bring a refresh forward at most this often. */
const EARLY_REFRESH_INTERVAL_MS = 1_000;
/** Each waiting call costs a timer and stays open; further calls are refused and may retry. */
const MAX_WAITING_CALLS = 1_000;

/** Result of the last check. `unusable`: the database answered, but its content cannot be used. */
export type StoreState = 'reachable' | 'unreachable' | 'unusable';

export type StoreEvent = `store-${StoreState}`;

/**
 * Connects to the database with backoff, prepares it once, and then refreshes the data in memory twice a second and on
 * `refreshNow`. While the database is unreachable it retries without end. An error that retrying cannot fix (another
 * schema, another master key, a wrong password, a certificate that is not accepted) rejects `start`, or goes to `onFatal` in later attempts to prepare; once prepared, the
 * service continues with the data in memory and reports the store as unusable.
 */
export class DatabaseMonitor {
  readonly #prepare: () => Promise<void>;
  readonly #refresh: () => Promise<void>;
  readonly #onChecked: () => void;
  readonly #report: (event: StoreEvent, cause?: unknown) => void;
  readonly #onFatal: (error: unknown) => void;
  #prepared = false;
  /** Undefined until the first attempt has ended. */
  #reported: StoreState | undefined;
  /**
   * 100, 200, 400, 500 ms. A database that is reachable again is detected within 2 s: the longest delay, after an attempt
   * that began while it was unreachable (D03).
   */
  readonly #backoff = new Backoff({ firstMs: 100, maxMs: 500 });
  #fault: DatabaseFault | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #isRefreshing = false;
  #refreshRequested = false;
  #lastEarlyRefreshMs = -Infinity;
  /** Callers of `nextRefresh`, which a refresh that begins later resolves. */
  readonly #waiting = new Set<() => void>();

  constructor(options: {
    prepare: () => Promise<void>;
    refresh: () => Promise<void>;
    /** Called after each check, successful or not. */
    onChecked: () => void;
    report: (event: StoreEvent, cause?: unknown) => void;
    onFatal: (error: unknown) => void;
  }) {
    this.#prepare = options.prepare;
    this.#refresh = options.refresh;
    this.#onChecked = options.onChecked;
    this.#report = options.report;
    this.#onFatal = options.onFatal;
  }

  /** Result of the last check; `unreachable` before the first has ended. */
  get state(): StoreState {
    return this.#reported ?? 'unreachable';
  }

  /** What is wrong, while the database cannot be used for a reason that is known. */
  get fault(): DatabaseFault | undefined {
    return this.#fault;
  }

  /**
   * Resolves after the first attempt, even when the database is unreachable.
   *
   * @throws an error that retrying cannot fix
   */
  async start(): Promise<void> {
    const fatal = await this.#attempt();
    if (fatal !== undefined) throw toError(fatal);
  }

  /** Refreshes at once, or once more after a refresh that is under way. */
  refreshNow(): void {
    if (this.#isRefreshing) this.#refreshRequested = true;
    else if (this.#prepared) this.#schedule(0);
  }

  /**
   * Resolves when a refresh that began after this call has succeeded, so that memory holds all that was committed before
   * the call. Waiting callers share the regular refreshes and bring one forward at most once a second, so that
   * unauthenticated callers cannot load the database.
   *
   * @throws Rejected `trust-stale` when none succeeds within the budget, `server-overloaded`, `cancelled`
   */
  async nextRefresh(call: CallBudget): Promise<void> {
    const ended = cancellationOf(call, Date.now());
    if (ended !== undefined) throw new Rejected(ended);
    if (this.#waiting.size >= MAX_WAITING_CALLS) {
      const cause = 'too many calls wait for a refresh from the database';
      throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
    }
    await new Promise<void>((resolve, reject) => {
      const onRefreshed = () => {
        stopWatching();
        resolve();
      };
      const onCancel = (cancellation: Rejection) => {
        this.#waiting.delete(onRefreshed);
        const deadlinePassed = cancellation.kind === 'deadline-exceeded';
        reject(
          new Rejected(deadlinePassed ? { kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS } : cancellation),
        );
      };
      const deadlineMs = Math.min(call.deadlineMs, call.storeDeadlineMs ?? Infinity);
      const stopWatching = onCancelled({ deadlineMs, signal: call.signal }, Date.now, onCancel);
      this.#waiting.add(onRefreshed);
      this.#refreshEarly();
    });
  }

  #refreshEarly(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastEarlyRefreshMs < EARLY_REFRESH_INTERVAL_MS) return;
    this.#lastEarlyRefreshMs = nowMs;
    this.refreshNow();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** @returns the error that must end the process, if any */
  async #attempt(): Promise<unknown> {
    this.#isRefreshing = true;
    this.#takeRefreshRequest();
    const waiting = [...this.#waiting];
    try {
      if (!this.#prepared) await this.#prepare();
      this.#prepared = true;
      await this.#refresh();
      for (const onRefreshed of waiting) if (this.#waiting.delete(onRefreshed)) onRefreshed();
      this.#setState('reachable');
      this.#backoff.reset();
      this.#schedule(this.#takeRefreshRequest() ? 0 : REFRESH_INTERVAL_MS);
    } catch (error) {
      if (!this.#prepared && !isMendedByWaiting(error)) return error;
      const fault = databaseFaultOf(error);
      const isUnusable = fault === undefined || fault.kind === 'access-denied' || fault.kind === 'set-up';
      this.#setState(isUnusable ? 'unusable' : 'unreachable', error, fault);
      this.#schedule(this.#backoff.next());
    } finally {
      this.#isRefreshing = false;
      if (!this.#stopped) this.#onChecked();
    }
    return undefined;
  }

  #takeRefreshRequest(): boolean {
    const requested = this.#refreshRequested;
    this.#refreshRequested = false;
    return requested;
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      void this.#attempt().then((fatal) => {
        if (fatal !== undefined && !this.#stopped) this.#onFatal(fatal);
      });
    }, delayMs);
  }

  #setState(state: StoreState, cause?: unknown, fault?: DatabaseFault): void {
    if (this.#stopped) return;
    // A certificate that expires while the database is away is another fault, and is reported as well.
    const isSame = state === this.#reported && fault?.kind === this.#fault?.kind;
    this.#fault = fault;
    if (isSame) return;
    this.#reported = state;
    this.#report(`store-${state}`, cause);
  }
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
