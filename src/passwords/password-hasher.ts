import { randomBytes } from 'node:crypto';
import { MAX_PASSWORD_BYTES, normalisePassword, passwordForms } from './password-policy.ts';
import type { Tracer } from '../domain/tracer.ts';
import { type CommonPasswords, loadCommonPasswords } from './common-passwords.ts';
import type { HashCall } from './hashing/call-deadline.ts';
import { HashQueue } from './hashing/hash-queue.ts';
import type { HashResponse, HashRequest } from './hashing/hash-messages.ts';
import { HashThreadPool } from './hashing/hash-thread-pool.ts';
import { hashWorkerUrl } from './hashing/hash-worker-url.ts';
import { RefusalDelay } from './hashing/refusal-delay.ts';

export type { HashCall } from './hashing/call-deadline.ts';

export interface PasswordHasherOptions {
  /** Maximum number of concurrent hashes. Each runs in its own thread and takes 19 MiB. */
  readonly concurrency: number;
  /** Maximum number of waiting jobs. The default is 64 per thread, which takes about 0.6 s to work off. */
  readonly maxQueued?: number;
  readonly tracer?: Tracer | undefined;
  /** Epoch milliseconds. */
  readonly now?: () => number;
  /** Entry file of the hashing threads. Only tests set it. */
  readonly workerUrl?: URL;
}

export interface PasswordVerdict {
  readonly matches: boolean;
  /**
   * The stored hash is weaker than what `hash` produces now (L04), or another program made it of another Unicode form
   * (L06). True only when `matches` is.
   */
  readonly needsRehash: boolean;
  /** Number of Unicode forms of the password that an imported hash is compared with, whatever the stored hash was. */
  readonly forms: number;
  /** Time spent in the hashing thread, without the time in the queue. */
  readonly workMs: number;
}

const MAX_QUEUED_PER_THREAD = 64;

/**
 * The password that takes longest: some imported formats read the whole password in each iteration, and WordPress may have
 * written a backslash before each quote.
 */
const SLOWEST_PASSWORD = "'".repeat(MAX_PASSWORD_BYTES);

const UNEXPECTED_RESPONSE = 'a hashing thread sent the response of another kind of job';

/**
 * Hashes and verifies passwords in dedicated worker threads, so that a hash never blocks the event loop or the libuv
 * pool, which signing and token verification use.
 */
export class PasswordHasher {
  readonly #threads: HashThreadPool;
  readonly #tracer: Tracer | undefined;
  readonly #queue: HashQueue<HashRequest, HashResponse>;
  /** Hash of random bytes with current parameters, verified when there is no stored hash to verify (L03). */
  #dummy: string | null = null;
  readonly #dummyReady: Promise<string>;
  readonly #refusalDelay = new RefusalDelay((stored) => this.#measure(stored));
  #commonPasswords: Promise<CommonPasswords> | undefined;

  /** Starts the first thread, which computes the dummy hash. Other threads start on demand. */
  constructor(options: PasswordHasherOptions) {
    const { concurrency, maxQueued = MAX_QUEUED_PER_THREAD * concurrency, now = Date.now } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new RangeError('password hashing needs at least one thread');
    }
    const threads = new HashThreadPool(options.workerUrl ?? hashWorkerUrl);
    this.#threads = threads;
    this.#tracer = options.tracer;
    this.#queue = new HashQueue({ concurrency, maxQueued, now, run: (job) => threads.run(job) });
    this.#dummyReady = this.hash(randomBytes(32).toString('base64'), unlimitedCall());
    this.#dummyReady.then(
      (phc) => (this.#dummy = phc),
      () => undefined, // `ready` reports the failure.
    );
  }

  /** Creates a hasher and waits until it is ready. */
  static async start(options: PasswordHasherOptions): Promise<PasswordHasher> {
    const hasher = new PasswordHasher(options);
    await hasher.ready();
    return hasher;
  }

  /** Resolves when the first thread has computed its first hash, after about 50 ms; rejects when that fails. */
  async ready(): Promise<void> {
    await this.#dummyReady;
  }

  /**
   * Computes the PHC string to store for a password that the policy has accepted. Rejects with `Rejected` (see
   * `HashQueue.submit`), or with an Error when the thread ends during the job.
   */
  async hash(password: string, call: HashCall): Promise<string> {
    // Encoding turns lone surrogates into U+FFFD, so different passwords would get the same hash.
    if (!password.isWellFormed())
      throw new Error(
        'cannot hash a password that is not well-formed Unicode; check it against the policy first',
      );
    const response = await this.#submit({ kind: 'hash', password: normalisePassword(password) }, call);
    if (response.kind !== 'hashed') throw new Error(UNEXPECTED_RESPONSE);
    return response.phc;
  }

  /**
   * Verifies `password` against the stored hash. Null (no such user, or a user without a password), unknown formats
   * and malformed hashes never match, and cost the same as a real verification. A hash of another program is compared
   * with up to three Unicode forms of the password, in one job (L06). Rejects like `hash`.
   */
  async verify(stored: string | null, password: string, call: HashCall): Promise<PasswordVerdict> {
    const passwords = passwordForms(password, this.#refusalDelay.maxForms);
    const response = await this.#submit(
      {
        kind: 'verify',
        stored: password.isWellFormed() ? stored : null,
        dummy: this.#dummy ?? (await this.#dummyReady),
        passwords,
      },
      call,
    );
    if (response.kind !== 'verified') throw new Error(UNEXPECTED_RESPONSE);
    if (response.damage !== null) call.onDamage?.(response.damage);
    if (stored !== null) this.#refusalDelay.observe(stored, response.workMs, response.compared);
    const { matches, needsRehash, workMs } = response;
    return { matches, needsRehash, workMs, forms: passwords.length };
  }

  /**
   * Milliseconds by which to delay the answer to a refused login, whatever the reason of the refusal. While some stored
   * hashes are slower to verify than current ones, every refusal takes as long as the slowest of them, for each form of
   * the password; otherwise a quick refusal would show that the user does not exist (L02). Wait on a timer, after all
   * other work of the refusal.
   */
  refusalDelayMs(verdict: PasswordVerdict): number {
    return Math.max(0, this.#refusalDelay.msFor(verdict.forms) - verdict.workMs);
  }

  /**
   * Sets which kinds of hashes are stored (see `distinctHashKinds`). New kinds are measured in a hashing thread, so the
   * first call may take seconds. Never rejects: a kind that cannot be measured now is estimated until the next call.
   */
  async expectKinds(kinds: readonly string[]): Promise<void> {
    await this.#refusalDelay.expect(kinds);
  }

  /** The list for checking new passwords. Loaded at the first use; a failed load is retried at the next use. */
  commonPasswords(): Promise<CommonPasswords> {
    this.#commonPasswords ??= loadCommonPasswords().catch((error: unknown) => {
      this.#commonPasswords = undefined;
      throw error;
    });
    return this.#commonPasswords;
  }

  #submit(job: HashRequest, call: HashCall): Promise<HashResponse> {
    return this.#tracer
      ? this.#tracer.span('password hash', () => this.#queue.submit(job, call))
      : this.#queue.submit(job, call);
  }

  /** Milliseconds that a verification of `stored` takes at most in a hashing thread. Rejects when the queue is full. */
  async #measure(stored: string): Promise<number> {
    const job = {
      kind: 'verify',
      stored,
      dummy: await this.#dummyReady,
      passwords: [SLOWEST_PASSWORD],
    } as const;
    return (await this.#queue.submit(job, unlimitedCall())).workMs;
  }

  /** Maximum number of jobs that run or wait. */
  get capacity(): number {
    return this.#queue.capacity;
  }

  /** Current load. `averageMs` is the moving average of the time in the hashing thread per job. */
  get load(): { running: number; queued: number; averageMs: number } {
    return this.#queue.load;
  }

  /** When one more job would be done if this many had come before it, ms from now; 0 while a thread is free. */
  expectedMs(jobsBefore: number): number {
    return this.#queue.expectedMs(jobsBefore);
  }

  /** Number of jobs refused because the queue was full or the deadline too close. */
  get refused(): number {
    return this.#queue.refused;
  }

  /** Rejects waiting and new jobs with `shutting-down`, waits for running jobs, then ends the threads. */
  async stop(): Promise<void> {
    await this.#queue.close();
    await this.#threads.end();
  }
}

/** Budget of a job that no caller waits for. */
function unlimitedCall(): HashCall {
  return { signal: new AbortController().signal, deadlineMs: Infinity };
}
