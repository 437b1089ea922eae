import { BoundedQueue } from '../../domain/concurrency/bounded-queue.ts';
import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { cancellationOf, onCancelled } from './call-deadline.ts';
import { MovingAverage } from './statistics.ts';

export interface HashQueueOptions<Job, Result> {
  /** Maximum number of running jobs. */
  readonly concurrency: number;
  /** Maximum number of waiting jobs, in addition to the running ones. */
  readonly maxQueued: number;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly run: (job: Job) => Promise<Result>;
}

/** Minimum for `retryAfterMs`: a rejection while little is queued would otherwise advise to retry at once. */
const MIN_RETRY_MS = 50;

/**
 * Bounded FIFO queue of hashing jobs.
 *
 * - A job that would finish after its deadline is rejected at once, so that no work is done in vain (L13).
 * - A caller that cancels leaves the queue at once. A running job keeps its slot until it ends, because it cannot be
 *   interrupted and its memory counts (L14).
 * - A running job resolves even when its caller has cancelled: an attacker could otherwise cancel each guess before
 *   the throttle counts it (L09).
 */
export class HashQueue<Job, Result extends { readonly workMs: number }> {
  readonly #options: HashQueueOptions<Job, Result>;
  readonly #queue: BoundedQueue<CallBudget>;
  readonly #workMs = new MovingAverage();
  #refused = 0;
  #closed = false;

  constructor(options: HashQueueOptions<Job, Result>) {
    this.#options = options;
    this.#queue = new BoundedQueue({
      concurrency: options.concurrency,
      waitingLimit: { max: options.maxQueued, whenFull: () => this.#overloaded('queue-full') },
      watch: (call, leave) => this.#watch(call, leave),
      recheck: (call) => this.#whyNotNow(call),
    });
  }

  get capacity(): number {
    return this.#options.concurrency + this.#options.maxQueued;
  }

  get load(): { running: number; queued: number; averageMs: number } {
    return { running: this.#queue.running, queued: this.#queue.waiting, averageMs: this.#workMs.value ?? 0 };
  }

  /** When one more job would be done if this many had come before it, ms from now; 0 while a slot is free. */
  expectedMs(jobsBefore: number): number {
    const roundsToWait = Math.floor(jobsBefore / this.#options.concurrency);
    return roundsToWait === 0 ? 0 : (roundsToWait + 1) * (this.#workMs.value ?? 0);
  }

  /** Number of jobs rejected because the queue was full or the deadline too close. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Rejects with `Rejected` of kind `shutting-down`, `server-overloaded`, `cancelled` or `deadline-exceeded`, or with
   * the error of `run`.
   */
  async submit(job: Job, call: CallBudget): Promise<Result> {
    const rejection = this.#closed ? SHUTTING_DOWN : cancellationOf(call, this.#options.now());
    if (rejection !== undefined) throw new Rejected(rejection);
    return this.#queue.run(() => this.#run(job), call);
  }

  /** Rejects waiting and new jobs, and resolves when the running jobs have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.drain(() => new Rejected(SHUTTING_DOWN));
  }

  /**
   * Called for a job that has to wait. A job that finds a free slot runs whatever the average says: otherwise a high
   * average could never come down.
   */
  #watch(call: CallBudget, leave: (error: Error) => void): () => void {
    const roundsToWait = Math.floor(this.#queue.waiting / this.#options.concurrency) + 1;
    if (this.#isTooLate(call, roundsToWait)) throw this.#overloaded('deadline-too-close');
    return onCancelled(call, this.#options.now, (rejection) => leave(new Rejected(rejection)));
  }

  /** Called when a job gets its slot: passes the slot on when this job would be late and others wait. */
  #whyNotNow(call: CallBudget): Rejected | undefined {
    const isTooLate = this.#queue.waiting > 0 && this.#isTooLate(call, 0);
    return isTooLate ? this.#overloaded('deadline-too-close') : undefined;
  }

  async #run(job: Job): Promise<Result> {
    const result = await this.#options.run(job);
    this.#workMs.add(result.workMs);
    return result;
  }

  #isTooLate(call: CallBudget, roundsToWait: number): boolean {
    return this.#options.now() + (roundsToWait + 1) * (this.#workMs.value ?? 0) > call.deadlineMs;
  }

  #overloaded(cause: string): Rejected {
    this.#refused += 1;
    const rounds = Math.ceil((this.#queue.running + this.#queue.waiting) / this.#options.concurrency);
    const drainMs = Math.ceil(rounds * (this.#workMs.value ?? 0));
    return new Rejected({
      kind: 'server-overloaded',
      cause,
      retryAfterMs: Math.max(MIN_RETRY_MS, drainMs),
    });
  }
}

const SHUTTING_DOWN: Rejection = { kind: 'shutting-down', retryAfterMs: RETRY_AFTER_MS };
