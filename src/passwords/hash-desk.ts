import { argon2idHash, argon2idVerify, argon2idWork } from './argon2id.ts';
import { readStoredHash } from './formats/format-table.ts';
import type { HashDamage, StoredHash } from './formats/password-format.ts';
import type { HashAnswer, HashJob } from './hash-job.ts';
import { MovingAverage } from './moving-average.ts';

type VerifyJob = HashJob & { readonly kind: 'verify' };
type Verdict = Omit<HashAnswer & { readonly kind: 'verified' }, 'kind' | 'workMs'>;

/** Does the jobs of one hashing thread, one after the other. `nowMs` is monotonic. */
export class HashDesk {
  readonly #nowMs: () => number;
  /** How long one hash with current parameters takes in this thread. */
  readonly #fullWork = new MovingAverage();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Throws only when a new hash cannot be made; a check always has a verdict. */
  do(job: HashJob): HashAnswer {
    const startedMs = this.#nowMs();
    if (job.kind === 'hash') {
      const phc = this.#timed(() => argon2idHash(job.password));
      return { kind: 'hashed', workMs: this.#nowMs() - startedMs, phc };
    }
    const verdict = this.#verify(job, startedMs);
    return { kind: 'verified', workMs: this.#nowMs() - startedMs, ...verdict };
  }

  /**
   * A user who is not there, a text that cannot be read and a wrong password all cost one hash at least, so that
   * time does not tell which it was (L02).
   */
  #verify(job: VerifyJob, startedMs: number): Verdict {
    const stored = job.stored === null ? null : readStoredHash(job.stored);
    if (stored === null || typeof stored === 'string') return this.#refuse(job, stored);
    try {
      if (!stored.needsRehash) {
        return { matches: this.#timed(() => stored.verify(job.password)), needsRehash: false, damage: null };
      }
      return { ...this.#verifyWeaker(stored, job, startedMs), damage: null };
    } catch {
      return this.#refuse(job, 'damaged');
    }
  }

  #refuse(job: VerifyJob, damage: HashDamage | null): Verdict {
    this.#timed(() => argon2idVerify(job.dummy, job.password));
    return { matches: false, needsRehash: false, damage };
  }

  /** A weaker hash answers sooner: the difference is filled with work, lest it tell that the user is there. */
  #verifyWeaker(stored: StoredHash, job: VerifyJob, startedMs: number): Pick<Verdict, 'matches' | 'needsRehash'> {
    let fullMs = this.#fullWork.value;
    if (fullMs === undefined) {
      // The first job of this thread: what one hash takes here is not known yet, and is measured once.
      this.#refuse(job, null);
      fullMs = this.#fullWork.value ?? 0;
      startedMs = this.#nowMs();
    }
    const matches = stored.verify(job.password);
    for (let round = 0; round < 4; round++) {
      const missing = 1 - (this.#nowMs() - startedMs) / fullMs;
      if (!(missing > 0.02)) break;
      argon2idWork(Math.min(0.5, missing));
    }
    return { matches, needsRehash: matches };
  }

  #timed<T>(work: () => T): T {
    const startedMs = this.#nowMs();
    const result = work();
    this.#fullWork.add(this.#nowMs() - startedMs);
    return result;
  }
}
