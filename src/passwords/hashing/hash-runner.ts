import { argon2idHash, argon2idVerify, argon2idWork, loadArgon2 } from './argon2id.ts';
import { readStoredHash } from '../formats/format-table.ts';
import type { HashDamage, StoredHash } from '../formats/password-format.ts';
import type { HashResponse, HashRequest } from './hash-messages.ts';
import { RecentMedian } from './statistics.ts';

type VerifyJob = HashRequest & { readonly kind: 'verify' };
type Verdict = Omit<HashResponse & { readonly kind: 'verified' }, 'kind' | 'workMs'>;

/**
 * How a weaker hash is filled up: 80 % of the missing time at a time, since short work pays more for its memory, until
 * 3 % or less is missing. Measured on seven weaker hashes: medians within 1.5 % of a full one, AUC to 0.55.
 */
const PADDING_FRACTION = 0.8;
const NEGLIGIBLE = 0.03;
const MAX_PADDING_ROUNDS = 4;

/** Does the jobs of one hashing thread, one after the other. `nowMs` is monotonic. */
export class HashRunner {
  readonly #nowMs: () => number;
  /** How long one hash with current parameters takes in this thread. */
  readonly #fullWork = new RecentMedian(32);

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    // Before the first job, whose time it would count in.
    loadArgon2();
  }

  /** Throws only when a new hash cannot be made; a check always has a verdict. */
  run(job: HashRequest): HashResponse {
    const startedMs = this.#nowMs();
    if (job.kind === 'hash') {
      const phc = this.#timed(() => argon2idHash(job.password));
      return { kind: 'hashed', workMs: this.#nowMs() - startedMs, phc };
    }
    const verdict = this.#verify(job);
    return { kind: 'verified', workMs: this.#nowMs() - startedMs, ...verdict };
  }

  /**
   * A user who is not there, a text that cannot be read and a wrong password all cost one hash at least, so that
   * time does not tell which it was (L02).
   */
  #verify(job: VerifyJob): Verdict {
    const stored = job.stored === null ? null : readStoredHash(job.stored);
    if (stored === null || typeof stored === 'string') return this.#refuse(job, stored);
    try {
      const matches =
        stored.work === 1 ? this.#timed(() => stored.verify(job.password)) : this.#verifyPadded(stored, job);
      return { matches, needsRehash: matches && stored.needsRehash, damage: null };
    } catch {
      return this.#refuse(job, 'damaged');
    }
  }

  #refuse(job: VerifyJob, damage: HashDamage | null): Verdict {
    this.#timed(() => argon2idVerify(job.dummy, job.password));
    return { matches: false, needsRehash: false, damage };
  }

  /**
   * A weaker hash answers sooner: the difference is filled with work, lest it tell that the user is there. By the
   * clock, since what a foreign format costs differs between processors; one that took longer is left as it is.
   */
  #verifyPadded(stored: StoredHash, job: VerifyJob): boolean {
    // In the first job of a thread, what one hash takes here is not known yet.
    if (this.#fullWork.value === undefined) this.#refuse(job, null);
    const fullMs = this.#fullWork.value ?? 0;
    const startedMs = this.#nowMs();
    const matches = stored.verify(job.password);
    for (let round = 0; round < MAX_PADDING_ROUNDS; round++) {
      const missing = 1 - (this.#nowMs() - startedMs) / fullMs;
      if (missing < NEGLIGIBLE) break;
      argon2idWork(Math.min(0.5, PADDING_FRACTION * missing));
    }
    return matches;
  }

  #timed<T>(work: () => T): T {
    const startedMs = this.#nowMs();
    const result = work();
    this.#fullWork.add(this.#nowMs() - startedMs);
    return result;
  }
}
