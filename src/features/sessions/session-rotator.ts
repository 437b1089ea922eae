import { BoundedQueue } from '../../domain/concurrency/bounded-queue.ts';
import { withTimeout } from '../../domain/concurrency/timeout.ts';
import { budgetOf, type CallBudget } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import { STORE_USE_LIMIT_MS } from '../../database/time-limits.ts';
import {
  type Rotation,
  type RotationPolicy,
  type RotationResult,
  type RotationRow,
  rotateSession,
  rotateSessions,
  toRotationResult,
} from './rotation-queries.ts';

/** A statement for several sessions costs more than one for a single session; from this number on it costs less than theirs. */
const MIN_BATCH = 4;
const MAX_BATCH = 64;
/** Two, so that PostgreSQL works on one group while the disk confirms the commit of the other. */
const MAX_GROUPS = 2;
/** The next group does not wait longer for single statements, one of which may be waiting for a locked row (S09). */
const MAX_SINGLES_MS = 25;

interface WaitingCall {
  readonly rotation: Rotation;
  readonly call: CallBudget;
  readonly isCancelled: () => boolean;
  readonly resolve: (result: RotationResult | null | Promise<RotationResult | null>) => void;
}

/**
 * Rotates the sessions of concurrent calls in groups, because most of what a rotation costs is its statement and its commit.
 * Calls wait only while two groups are on their way, so an idle service sends each at once. No call is answered before the
 * commit of its rotation.
 */
export class SessionRotator {
  readonly #database: Database;
  readonly #policy: RotationPolicy;
  readonly #waiting = new Set<WaitingCall>();
  /**
   * Calls that their batch has left out. All of its rows may be held, and each statement then waits for a lock: such calls
   * take at most half of the connections (S09).
   */
  readonly #leftovers: BoundedQueue<WaitingCall>;
  #groups = 0;
  #isScheduled = false;

  constructor(database: Database, policy: RotationPolicy) {
    this.#database = database;
    this.#policy = policy;
    this.#leftovers = new BoundedQueue({
      concurrency: Math.ceil(database.maxConnections / 2),
      // `waitFor` answers a call that gives up; the queue only must not start it any more.
      watch: () => () => undefined,
      recheck: ({ isCancelled }) => (isCancelled() ? new Rejected({ kind: 'cancelled' }) : undefined),
    });
  }

  /**
   * Rotates the session if `decideRefresh` says `rotate`.
   *
   * @returns null when there is no session with this nonce
   * @throws Rejected `store-unavailable`, `server-overloaded`, `deadline-exceeded`, `cancelled`; the session may have been
   *   rotated nevertheless
   */
  rotate(call: CallBudget, rotation: Rotation): Promise<RotationResult | null> {
    return this.#database.waitFor(
      call,
      (isCancelled) =>
        new Promise((resolve) => {
          this.#waiting.add({ rotation, call, isCancelled, resolve });
          this.#schedule();
        }),
    );
  }

  /** Calls that arrive in one turn of the event loop leave together. */
  #schedule(): void {
    if (this.#isScheduled || this.#groups >= MAX_GROUPS || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#sendGroup();
    });
  }

  async #sendGroup(): Promise<void> {
    const group = this.#takeGroup();
    this.#groups += 1;
    this.#schedule();
    if (group.length >= MIN_BATCH) await this.#rotateTogether(group);
    else await withTimeout(this.#rotateSingly(group), MAX_SINGLES_MS, () => undefined);
    this.#groups -= 1;
    this.#schedule();
  }

  /** The calls that have waited longest, without those that have given up. A session's second call stays for the next group. */
  #takeGroup(): WaitingCall[] {
    const group = new Map<string, WaitingCall>();
    for (const waiting of this.#waiting) {
      const { sessionId } = waiting.rotation;
      if (waiting.isCancelled()) this.#waiting.delete(waiting);
      else if (!group.has(sessionId)) {
        group.set(sessionId, waiting);
        this.#waiting.delete(waiting);
      }
      if (group.size === MAX_BATCH) break;
    }
    return [...group.values()];
  }

  async #rotateTogether(group: readonly WaitingCall[]): Promise<void> {
    const statement = rotateSessions(
      group.map(({ rotation }) => rotation),
      this.#policy,
    );
    let rows: readonly RotationRow[];
    try {
      rows = await this.#database.query(budgetOf(STORE_USE_LIMIT_MS, Date.now()), statement);
    } catch {
      // Each call meets the fault again by itself, or is served, if the fault was another call's or is over.
      rows = [];
    }
    const bySession = new Map(rows.map((row) => [row.id, row]));
    for (const waiting of group) {
      const row = bySession.get(waiting.rotation.sessionId);
      // A row that cannot be read, as one with the time `infinity`, rejects its own call only.
      waiting.resolve(
        row
          ? Promise.resolve(row).then(toRotationResult)
          : this.#leftovers.run(() => this.#rotateOne(waiting), waiting),
      );
    }
  }

  async #rotateSingly(calls: readonly WaitingCall[]): Promise<void> {
    await Promise.allSettled(
      calls.map((waiting) => {
        const result = this.#rotateOne(waiting);
        waiting.resolve(result);
        return result;
      }),
    );
  }

  async #rotateOne({ rotation, call }: WaitingCall): Promise<RotationResult | null> {
    const statement = rotateSession(rotation, this.#policy);
    const [row] = await this.#database.query<RotationRow>(call, statement);
    return row ? toRotationResult(row) : null;
  }
}
