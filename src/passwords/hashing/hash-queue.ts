import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { cancellationOf, onCancelled } from './call-deadline.ts';
import { MovingAverage } from './statistics.ts';

interface QueuedJob<Job, Answer> {
  readonly job: Job;
  readonly call: CallBudget;
  /** Ends the watch for the caller's departure. */
  stopWatch(): void;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export interface HashQueueOptions<Job, Answer> {
  /** How many jobs run at once. */
  readonly concurrency: number;
  /** How many wait beside those that run. */
  readonly maxQueued: number;
  readonly now: () => number;
  readonly run: (job: Job) => Promise<Answer>;
}

/** Told to a caller who is refused when next to nothing is waiting. */
const MIN_RETRY_MS = 50;

/**
 * Who may hash, and when: first come, first served, with bounded waiting. A job that would be answered after its
 * deadline is refused at once instead of being done for nobody (L13); a caller who leaves gives up the place in the
 * queue at once, yet a running job keeps its permit until it ends, because it cannot be stopped and its memory
 * counts (L14). Its answer is given, too, whoever has left: a guess that was computed must not go uncounted because
 * the guesser did not wait (L09).
 */
export class HashQueue<Job, Answer extends { readonly workMs: number }> {
  readonly #options: HashQueueOptions<Job, Answer>;
  readonly #queue = new Set<QueuedJob<Job, Answer>>();
  readonly #running = new Set<Promise<void>>();
  readonly #workMs = new MovingAverage();
  #refused = 0;
  #closed = false;

  constructor(options: HashQueueOptions<Job, Answer>) {
    this.#options = options;
  }

  get capacity(): number {
    return this.#options.concurrency + this.#options.maxQueued;
  }

  get load(): { running: number; queued: number; averageMs: number } {
    return { running: this.#running.size, queued: this.#queue.size, averageMs: this.#workMs.value ?? 0 };
  }

  /** How many were refused for want of room or time. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Rejects with `Rejected` of kind `shutting-down`, `server-overloaded`, `cancelled` or `deadline-exceeded`, or with
   * the error of `run`.
   */
  submit(job: Job, call: CallBudget): Promise<Answer> {
    const refusal = this.#refusalAtDoor(call);
    if (refusal !== undefined) return Promise.reject(new Rejected(refusal));
    return new Promise((resolve, reject) => {
      const stopWatch = onCancelled(call, this.#options.now, (why) => {
        this.#queue.delete(ticket);
        reject(new Rejected(why));
      });
      const ticket: QueuedJob<Job, Answer> = { job, call, stopWatch, resolve, reject };
      this.#queue.add(ticket);
      this.#dispatch();
    });
  }

  /** Refuses what waits and what comes, and resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const ticket of this.#queue) {
      ticket.stopWatch();
      ticket.reject(new Rejected(shuttingDown));
    }
    this.#queue.clear();
    await Promise.all(this.#running);
  }

  #refusalAtDoor(call: CallBudget): Rejection | undefined {
    if (this.#closed) return shuttingDown;
    const departure = cancellationOf(call, this.#options.now());
    if (departure !== undefined) return departure;
    // With a free permit the job runs, whatever the average says: only so can the average come down again.
    if (this.#running.size < this.#options.concurrency) return undefined;
    if (this.#queue.size >= this.#options.maxQueued) return this.#overloaded('queue-full');
    const turnsToWait = Math.floor(this.#queue.size / this.#options.concurrency) + 1;
    return this.#isTooLate(call, turnsToWait) ? this.#overloaded('deadline-too-close') : undefined;
  }

  /** Invariant: something waits only while every permit is out. */
  #dispatch(): void {
    for (const ticket of this.#queue) {
      if (this.#running.size >= this.#options.concurrency) return;
      this.#queue.delete(ticket);
      ticket.stopWatch();
      // Too late for this one, while others wait who could still be served.
      if (this.#queue.size > 0 && this.#isTooLate(ticket.call, 0)) {
        ticket.reject(new Rejected(this.#overloaded('deadline-too-close')));
        continue;
      }
      const done: Promise<void> = this.#run(ticket).finally(() => {
        this.#running.delete(done);
        this.#dispatch();
      });
      this.#running.add(done);
    }
  }

  /** Never rejects: what goes wrong is the ticket's. */
  async #run(ticket: QueuedJob<Job, Answer>): Promise<void> {
    try {
      const answer = await this.#options.run(ticket.job);
      this.#workMs.add(answer.workMs);
      ticket.resolve(answer);
    } catch (error) {
      ticket.reject(error instanceof Error ? error : new Error('a hash failed', { cause: error }));
    }
  }

  #isTooLate(call: CallBudget, turnsToWait: number): boolean {
    return this.#options.now() + (turnsToWait + 1) * (this.#workMs.value ?? 0) > call.deadlineMs;
  }

  #overloaded(cause: string): Rejection {
    this.#refused += 1;
    const turns = Math.ceil((this.#running.size + this.#queue.size) / this.#options.concurrency);
    const drainMs = Math.ceil(turns * (this.#workMs.value ?? 0));
    return { kind: 'server-overloaded', cause, retryAfterMs: Math.max(MIN_RETRY_MS, drainMs) };
  }
}

const shuttingDown: Rejection = { kind: 'shutting-down', retryAfterMs: RETRY_AFTER_MS };
