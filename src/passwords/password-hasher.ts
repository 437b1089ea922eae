import { randomBytes } from 'node:crypto';
import { normalisePassword } from './password-policy.ts';
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
  /** How many hashes run at once, each in its own thread with 19 MiB. */
  readonly concurrency: number;
  /** How many wait at most; by default what takes about 0.6 s. */
  readonly maxQueued?: number;
  readonly tracer?: Tracer | undefined;
  /** Epoch milliseconds. */
  readonly now?: () => number;
  /** The hashing thread's code; only tests have another. */
  readonly workerUrl?: URL;
}

export interface PasswordVerdict {
  readonly matches: boolean;
  /** True only beside `matches`: the stored text is weaker than what `hash` makes today (L04). */
  readonly needsRehash: boolean;
  /** From the start of the work in its thread to its end, without the time in the queue. */
  readonly workMs: number;
}

const MAX_QUEUED_PER_THREAD = 64;

/**
 * Hashes and checks passwords in threads of their own, so that neither the event loop nor the libuv pool, which
 * signing and verification use, ever waits for a hash.
 */
export class PasswordHasher {
  readonly #threads: HashThreadPool;
  readonly #tracer: Tracer | undefined;
  readonly #queue: HashQueue<HashRequest, HashResponse>;
  /** The hash of random bytes with current parameters, checked where there is no hash to check (L03). */
  #dummy: string | null = null;
  readonly #dummyReady: Promise<string>;
  readonly #refusalDelay = new RefusalDelay((stored) => this.#measure(stored));
  #commonPasswords: Promise<CommonPasswords> | undefined;

  /** Starts the first thread, which makes the dummy hash; the other threads start when needed. */
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
      () => undefined, // Told by `ready`.
    );
  }

  /** A hasher that is ready. */
  static async start(options: PasswordHasherOptions): Promise<PasswordHasher> {
    const hasher = new PasswordHasher(options);
    await hasher.ready();
    return hasher;
  }

  /** Resolves when the first thread has made its first hash, after about 50 ms; rejects when it cannot. */
  async ready(): Promise<void> {
    await this.#dummyReady;
  }

  /**
   * The PHC string to store for `password`, which the policy has accepted. Rejects with `Rejected`: see
   * `HashQueue.submit`; a thread that ends in the middle of the job is an Error.
   */
  async hash(password: string, call: HashCall): Promise<string> {
    // Lone surrogates become U+FFFD on the way to the hash: different passwords would get the same one.
    if (!password.isWellFormed())
      throw new Error('a password that is not well-formed Unicode was to be stored');
    const answer = await this.#submit({ kind: 'hash', password: normalisePassword(password) }, call);
    if (answer.kind !== 'hashed') throw new Error('a hashing thread answered another job');
    return answer.phc;
  }

  /**
   * Whether `password` is the one that `stored` was made from. null (no such user, or none with a password), unknown
   * formats and damaged texts never match, at the same cost. Rejects like `hash`.
   */
  async verify(stored: string | null, password: string, call: HashCall): Promise<PasswordVerdict> {
    const answer = await this.#submit(
      {
        kind: 'verify',
        stored: password.isWellFormed() ? stored : null,
        dummy: this.#dummy ?? (await this.#dummyReady),
        password: normalisePassword(password),
      },
      call,
    );
    if (answer.kind !== 'verified') throw new Error('a hashing thread answered another job');
    if (answer.damage !== null) call.onDamage?.(answer.damage);
    if (stored !== null) this.#refusalDelay.observe(stored, answer.workMs);
    return { matches: answer.matches, needsRehash: answer.needsRehash, workMs: answer.workMs };
  }

  /**
   * For how long a login is held back that is refused, whatever `verify` said: while some stored hashes take longer than
   * ours, every refusal comes when the slowest of them would have been checked, lest a quick one tell that there is no
   * such user (L02). To be waited for on a timer, after all else that the refusal brings about.
   */
  refusalDelayMs(verdict: PasswordVerdict): number {
    return Math.max(0, this.#refusalDelay.ms - verdict.workMs);
  }

  /**
   * Says which kinds of hashes are stored (see `distinctHashKinds`); kinds not met before are measured in a hashing
   * thread, so the first time may last seconds. Never rejects: what cannot be measured now is estimated until then.
   */
  async expectKinds(kinds: readonly string[]): Promise<void> {
    await this.#refusalDelay.expect(kinds);
  }

  /** For setting a password: read at the first use, and at the next one if it cannot be read now. */
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

  /** How long a check of `stored` takes in a hashing thread; rejects when there is no room for it. */
  async #measure(stored: string): Promise<number> {
    const job = { kind: 'verify', stored, dummy: await this.#dummyReady, password: '' } as const;
    return (await this.#queue.submit(job, unlimitedCall())).workMs;
  }

  /** How many checks may run or wait. */
  get capacity(): number {
    return this.#queue.capacity;
  }

  /** Now; `averageMs` is the moving average of one job's work. */
  get load(): { running: number; queued: number; averageMs: number } {
    return this.#queue.load;
  }

  /** How many hashes were refused for want of room or time. */
  get refused(): number {
    return this.#queue.refused;
  }

  /** Refuses what waits and what comes with `shutting-down`, lets running hashes end, then ends the threads. */
  async stop(): Promise<void> {
    await this.#queue.close();
    await this.#threads.end();
  }
}

/** Of work that nobody waits for. */
function unlimitedCall(): HashCall {
  return { signal: new AbortController().signal, deadlineMs: Infinity };
}
