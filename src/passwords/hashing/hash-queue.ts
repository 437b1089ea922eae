import { BoundedQueue } from '../../domain/bounded-queue.ts';
import type { CallBudget } from '../../domain/operation-call.ts';
import { Rejected, type Rejection, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { cancellationOf, onCancelled } from './call-deadline.ts';
import { MovingAverage } from './statistics.ts';

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
  readonly #queue: BoundedQueue<CallBudget>;
  readonly #workMs = new MovingAverage();
  #refused = 0;
  #closed = false;

  constructor(options: HashQueueOptions<Job, Answer>) {
    this.#options = options;
    this.#queue = new BoundedQueue({
      concurrency: options.concurrency,
      maxWaiting: options.maxQueued,
      whenFull: () => this.#overloaded('queue-full'),
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

  /** How many were refused for want of room or time. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Rejects with `Rejected` of kind `shutting-down`, `server-overloaded`, `cancelled` or `deadline-exceeded`, or with
   * the error of `run`.
   */
  async submit(job: Job, call: CallBudget): Promise<Answer> {
    const refusal = this.#closed ? SHUTTING_DOWN : cancellationOf(call, this.#options.now());
    if (refusal !== undefined) throw new Rejected(refusal);
    return this.#queue.run(() => this.#run(job), call);
  }

  /** Refuses what waits and what comes, and resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.drain(() => new Rejected(SHUTTING_DOWN));
  }

  /** With a free permit a job runs, whatever the average says: only so can the average come down again. */
  #watch(call: CallBudget, leave: (why: Error) => void): () => void {
    const roundsToWait = Math.floor(this.#queue.waiting / this.#options.concurrency) + 1;
    if (this.#isTooLate(call, roundsToWait)) throw this.#overloaded('deadline-too-close');
    return onCancelled(call, this.#options.now, (why) => leave(new Rejected(why)));
  }

  /** Too late for this one, while others wait who could still be served. */
  #whyNotNow(call: CallBudget): Rejected | undefined {
    const isTooLate = this.#queue.waiting > 0 && this.#isTooLate(call, 0);
    return isTooLate ? this.#overloaded('deadline-too-close') : undefined;
  }

  async #run(job: Job): Promise<Answer> {
    const answer = await this.#options.run(job);
    this.#workMs.add(answer.workMs);
    return answer;
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
