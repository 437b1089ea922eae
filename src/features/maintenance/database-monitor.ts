import { Backoff } from '../../domain/backoff.ts';
import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { cancellationOf, onCancelled } from '../../passwords/hashing/call-deadline.ts';

/** The backstop for an alarm that got lost: half of the second in which a revocation must be known then. */
const REFRESH_INTERVAL_MS = 500;
/** How often a caller who waits for news may bring a refresh forward. */
const EARLY_REFRESH_INTERVAL_MS = 1_000;
/** Each costs a timer and holds its call; whoever comes on top tries again, when those have been answered. */
const MAX_WAITING = 1_000;

/** What a look at the database found: all well, nobody there, or something in it that cannot be used. */
export type StoreState = 'reachable' | 'unreachable' | 'unusable';

export type StoreEvent = `store-${StoreState}`;

/**
 * Waits for the database with a growing pause, prepares what it must hold, and from then on refreshes what is kept in
 * memory, twice a second and whenever it is woken. A database that is away is waited for, at the start and ever after. What
 * waiting cannot mend (another schema, another master key) is handed to `onFatal` at the start; later the service goes on
 * with what it has in memory, and says that the store is unusable.
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
   * 100, 200, 400, 500 ms. A database that is back is known within 2 s: the longest delay, and an attempt that began while
   * it was away (D03).
   */
  readonly #backoff = new Backoff({ firstMs: 100, maxMs: 500 });
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #isRefreshing = false;
  #refreshRequested = false;
  #lastEarlyRefreshMs = -Infinity;
  /** Callers who wait for a refresh that begins after they came. */
  readonly #waiting = new Set<() => void>();

  constructor(options: {
    prepare: () => Promise<void>;
    refresh: () => Promise<void>;
    /** Called after each look at the database, successful or not. */
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

  /** What the last look at the database found. */
  get state(): StoreState {
    return this.#reported ?? 'unreachable';
  }

  /** Resolves after the first attempt, whether or not the database was there. Rejects with what waiting cannot mend. */
  async start(): Promise<void> {
    const fatal = await this.#attempt();
    if (fatal !== undefined) throw toError(fatal);
  }

  /** Something has changed in the database: refreshes at once, or again when a refresh is under way. */
  refreshNow(): void {
    if (this.#isRefreshing) this.#refreshRequested = true;
    else if (this.#prepared) this.#schedule(0);
  }

  /**
   * Resolves when a refresh has succeeded that began after this call: what was in the database by now is known then. All
   * who wait share the refreshes that are made anyhow, brought forward at most once a second, so that strangers who
   * make callers wait cost the database next to nothing.
   *
   * @throws Rejected `trust-stale` when none succeeds within the budget, `server-overloaded`, `cancelled`
   */
  async nextRefresh(call: CallBudget): Promise<void> {
    const cancellation = cancellationOf(call, Date.now());
    if (cancellation !== undefined) throw new Rejected(cancellation);
    if (this.#waiting.size >= MAX_WAITING) {
      const cause = 'too many calls wait for a check of the database';
      throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
    }
    await new Promise<void>((resolve, reject) => {
      const onRefreshed = () => {
        stopWatching();
        resolve();
      };
      const onCancel = (why: Rejection) => {
        this.#waiting.delete(onRefreshed);
        const deadlinePassed = why.kind === 'deadline-exceeded';
        reject(new Rejected(deadlinePassed ? { kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS } : why));
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
      const isUnreachable = error instanceof Rejected && error.rejection.kind === 'store-unavailable';
      if (!isUnreachable && !this.#prepared) return error;
      this.#setState(isUnreachable ? 'unreachable' : 'unusable', error);
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

  #setState(state: StoreState, cause?: unknown): void {
    if (this.#stopped || state === this.#reported) return;
    this.#reported = state;
    this.#report(`store-${state}`, cause);
  }
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
