import { randomBytes } from 'node:crypto';
import { normalisePassword } from '../domain/password-policy.ts';
import type { HashCall } from './hash-call.ts';
import { HashGate } from './hash-gate.ts';
import type { HashAnswer, HashJob } from './hash-job.ts';
import { HashThreads } from './hash-threads.ts';
import { hashWorkerUrl } from './hash-worker-url.ts';

export type { HashCall } from './hash-call.ts';

export interface PasswordHasherOptions {
  /** How many hashes run at once, each in its own thread with 19 MiB. */
  readonly concurrency: number;
  /** How many wait at most; by default what takes about 0.6 s. */
  readonly maxQueued?: number;
  /** Epoch milliseconds. */
  readonly now?: () => number;
  /** The hashing thread's code; only tests have another. */
  readonly workerUrl?: URL;
}

export interface PasswordVerdict {
  readonly matches: boolean;
  /** True only beside `matches`: the stored text is weaker than what `hash` makes today (L04). */
  readonly needsRehash: boolean;
}

const queuedPerThread = 64;

/**
 * Hashes and checks passwords in threads of their own, so that neither the event loop nor the libuv pool, which
 * signing and verification use, ever waits for a hash (decision 5).
 */
export class PasswordHasher {
  readonly #threads: HashThreads;
  readonly #gate: HashGate<HashJob, HashAnswer>;
  /** The hash of random bytes with current parameters, checked where there is no hash to check (L03). */
  #dummy = '';

  private constructor(options: PasswordHasherOptions) {
    const { concurrency, maxQueued = queuedPerThread * concurrency, now = Date.now } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new RangeError('password hashing needs at least one thread');
    }
    const threads = new HashThreads(options.workerUrl ?? hashWorkerUrl);
    this.#threads = threads;
    this.#gate = new HashGate({ concurrency, maxQueued, now, run: (job) => threads.run(job) });
  }

  /** Starts the first thread and makes the dummy hash there: about 50 ms. The other threads start when needed. */
  static async start(options: PasswordHasherOptions): Promise<PasswordHasher> {
    const hasher = new PasswordHasher(options);
    const nobodysPassword = randomBytes(32).toString('base64');
    hasher.#dummy = await hasher.hash(nobodysPassword, {
      signal: new AbortController().signal,
      deadlineMs: Infinity,
    });
    return hasher;
  }

  /**
   * The PHC string to store for `password`, which the policy has accepted. Rejects with `Rejected`: see
   * `HashGate.submit`; a thread that ends in the middle of the job is an Error.
   */
  async hash(password: string, call: HashCall): Promise<string> {
    // Lone surrogates become U+FFFD on the way to the hash: different passwords would get the same one.
    if (!password.isWellFormed())
      throw new Error('a password that is not well-formed Unicode was to be stored');
    const answer = await this.#gate.submit({ kind: 'hash', password: normalisePassword(password) }, call);
    if (answer.kind !== 'hashed') throw new Error('a hashing thread answered another job');
    return answer.phc;
  }

  /**
   * Whether `password` is the one that `stored` was made from. null (no such user, or none with a password), unknown
   * formats and damaged texts never match, at the same cost. Rejects like `hash`.
   */
  async verify(stored: string | null, password: string, call: HashCall): Promise<PasswordVerdict> {
    const answer = await this.#gate.submit(
      {
        kind: 'verify',
        stored: password.isWellFormed() ? stored : null,
        dummy: this.#dummy,
        password: normalisePassword(password),
      },
      call,
    );
    if (answer.kind !== 'verified') throw new Error('a hashing thread answered another job');
    if (answer.damage !== null) call.onDamage?.(answer.damage);
    return { matches: answer.matches, needsRehash: answer.needsRehash };
  }

  /** Now, for metrics; `averageMs` is the moving average of one job's work. */
  get load(): { running: number; queued: number; averageMs: number } {
    return this.#gate.load;
  }

  /** Refuses what waits and what comes with `shutting-down`, lets running hashes end, then ends the threads. */
  async stop(): Promise<void> {
    await this.#gate.close();
    await this.#threads.end();
  }
}
